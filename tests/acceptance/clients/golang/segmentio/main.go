// segmentio's kafka-go behind the command line of ../../README.md; it knows the classic protocol only, and eager
// assignors.
package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"ottla/acceptance/golang/program"
)

const commitEvery = 100 * time.Millisecond

func main() {
	program.Main(map[string]func(context.Context, program.Options) error{
		"member": member, "produce": produce, "admin": admin})
}

func member(stopping context.Context, given program.Options) error {
	balancers := map[string]kafka.GroupBalancer{"": kafka.RangeGroupBalancer{}, "range": kafka.RangeGroupBalancer{},
		"roundrobin": kafka.RoundRobinGroupBalancer{}}
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: given["group"], Brokers: []string{given["bootstrap"]}, Topics: []string{given["topic"]},
		GroupBalancers:    []kafka.GroupBalancer{balancers[given["assignor"]]},
		HeartbeatInterval: program.Heartbeat, SessionTimeout: given.Millis("session-ms"),
		RebalanceTimeout: 10 * time.Second, JoinGroupBackoff: 200 * time.Millisecond, StartOffset: kafka.FirstOffset,
		Dialer: &kafka.Dialer{ClientID: given["id"], Timeout: 5 * time.Second},
	})
	if err != nil {
		return err
	}
	for {
		generation, err := group.Next(stopping)
		if stopping.Err() != nil || errors.Is(err, kafka.ErrGroupClosed) {
			return group.Close()
		}
		if err != nil {
			program.Say("uncommitted", program.Fields{"why": err.Error()})
			continue
		}
		attend(given, generation)
	}
}

// Reads every partition of a generation; the last reader to end tells that they are given back.
func attend(given program.Options, generation *kafka.Generation) {
	assigned := generation.Assignments[given["topic"]]
	var partitions []int
	for _, one := range assigned {
		partitions = append(partitions, one.ID)
	}
	program.Tell("assigned", partitions)
	var left atomic.Int32
	left.Store(int32(len(assigned)))
	for _, one := range assigned {
		generation.Start(func(ctx context.Context) {
			read(ctx, given, generation, one)
			if left.Add(-1) == 0 {
				program.Tell("revoked", partitions)
			}
		})
	}
}

func read(ctx context.Context, given program.Options, generation *kafka.Generation, from kafka.PartitionAssignment) {
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{given["bootstrap"]}, Topic: given["topic"],
		Partition: from.ID, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 100 * time.Millisecond,
		ReadBackoffMax: 200 * time.Millisecond, MaxAttempts: 1000})
	defer reader.Close()
	if err := reader.SetOffset(from.Offset); err != nil {
		program.Say("uncommitted", program.Fields{"why": err.Error()})
		return
	}
	// What is handed out and not known to be committed: at most for as long as a commit is put off.
	next, since := int64(-1), time.Now()
	for ctx.Err() == nil {
		reading, cancel := context.WithTimeout(ctx, commitEvery)
		message, err := reader.ReadMessage(reading)
		cancel()
		if err == nil {
			program.Say("records", program.Fields{"partition": from.ID, "offsets": []int64{message.Offset}})
			next = message.Offset + 1
		}
		if next >= 0 && time.Since(since) >= commitEvery && commit(given, generation, from.ID, next) {
			next, since = -1, time.Now()
		}
	}
	if next >= 0 {
		commit(given, generation, from.ID, next)
	}
}

func commit(given program.Options, generation *kafka.Generation, partition int, next int64) bool {
	err := generation.CommitOffsets(map[string]map[int]int64{given["topic"]: {partition: next}})
	if err != nil {
		program.Say("uncommitted", program.Fields{"why": err.Error()})
		return false
	}
	program.Say("committed", program.Fields{"offsets": map[string]int64{strconv.Itoa(partition): next}})
	return true
}

func produce(stopping context.Context, given program.Options) error {
	partitions, burst := given.Number("partitions"), given.Number("rate")/100
	var lock sync.Mutex
	var failed error
	codecs := map[string]kafka.Compression{"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4,
		"zstd": kafka.Zstd}
	writer := &kafka.Writer{Addr: kafka.TCP(given["bootstrap"]), Topic: given["topic"], RequiredAcks: kafka.RequireAll,
		Compression:  codecs[given["codec"]],
		BatchTimeout: 5 * time.Millisecond, MaxAttempts: 1000, WriteBackoffMax: 200 * time.Millisecond, Async: true,
		Balancer: kafka.BalancerFunc(func(message kafka.Message, all ...int) int {
			number, _ := strconv.Atoi(string(message.Value))
			return all[number%partitions]
		}),
		Completion: func(_ []kafka.Message, err error) {
			lock.Lock()
			defer lock.Unlock()
			if err != nil {
				failed = err
			}
		}}
	for sent := 0; stopping.Err() == nil; sent++ {
		message := kafka.Message{Value: []byte(strconv.Itoa(sent))}
		if err := writer.WriteMessages(context.Background(), message); err != nil {
			return err
		}
		if sent%burst == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	if err := writer.Close(); err != nil {
		return err
	}
	lock.Lock()
	defer lock.Unlock()
	return failed
}
