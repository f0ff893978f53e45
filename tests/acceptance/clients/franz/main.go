// franz-go behind the command line of ../README.md.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a rebalance waits for; below the shortest session.
const heartbeat = 600 * time.Millisecond

type options map[string]string

type fields map[string]any

var saying sync.Mutex

// Prints one event.
func say(event string, rest fields) {
	saying.Lock()
	defer saying.Unlock()
	line := fields{"at": time.Now().UnixMicro(), "event": event}
	for name, value := range rest {
		line[name] = value
	}
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func main() {
	given := options{"protocol": "classic"}
	for i := 2; i+1 < len(os.Args); i += 2 {
		given[strings.TrimPrefix(os.Args[i], "--")] = os.Args[i+1]
	}
	stopping, stop := context.WithCancel(context.Background())
	go func() {
		buffer := make([]byte, 4096)
		for {
			if _, err := os.Stdin.Read(buffer); err != nil {
				stop()
				return
			}
		}
	}()
	programs := map[string]func(context.Context, options) error{"member": runMember, "produce": produce, "admin": admin}
	if err := programs[os.Args[1]](stopping, given); err != nil {
		say("failed", fields{"why": err.Error()})
		os.Exit(1)
	}
}

func (o options) number(name string) int {
	number, err := strconv.Atoi(o[name])
	if err != nil {
		panic(err)
	}
	return number
}

// One member of a group. The lock is for the callbacks, which run beside the polls' own thread.
type member struct {
	topic   string
	client  *kgo.Client
	lock    sync.Mutex
	pending map[int32]kgo.EpochOffset
}

func runMember(stopping context.Context, given options) error {
	m := &member{topic: given["topic"], pending: map[int32]kgo.EpochOffset{}}
	session := time.Duration(given.number("session-ms")) * time.Millisecond
	settings := []kgo.Opt{
		kgo.SeedBrokers(given["bootstrap"]),
		kgo.ClientID(given["id"]),
		kgo.ConsumerGroup(given["group"]),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, given map[string][]int32) {
			m.tell("assigned", given[m.topic])
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, _ *kgo.Client, given map[string][]int32) {
			m.commit(ctx, m.pendingOf(given[m.topic]))
			m.letGo("revoked", given[m.topic])
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, given map[string][]int32) {
			m.letGo("lost", given[m.topic])
		}),
	}
	if given["static"] != "" {
		settings = append(settings, kgo.InstanceID(given["static"]))
	}
	switch {
	case given["protocol"] == "consumer" && given["assignor"] == "range":
		settings = append(settings, kgo.ServerSideBalancer(), kgo.Balancers(kgo.RangeBalancer()))
	case given["protocol"] == "consumer":
		settings = append(settings, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	default:
		balancers := map[string]kgo.GroupBalancer{"": kgo.RangeBalancer(), "range": kgo.RangeBalancer(),
			"roundrobin": kgo.RoundRobinBalancer(), "sticky": kgo.StickyBalancer(),
			"cooperative-sticky": kgo.CooperativeStickyBalancer()}
		settings = append(settings, kgo.Balancers(balancers[given["assignor"]]),
			kgo.SessionTimeout(session), kgo.HeartbeatInterval(heartbeat))
	}
	if given["pattern"] != "" {
		// It learns of new topics by asking, and would ask every five minutes.
		settings = append(settings, kgo.ConsumeTopics(given["pattern"]), kgo.ConsumeRegex(),
			kgo.MetadataMaxAge(time.Second), kgo.MetadataMinAge(100*time.Millisecond))
	} else {
		settings = append(settings, kgo.ConsumeTopics(m.topic))
	}
	client, err := kgo.NewClient(settings...)
	if err != nil {
		return err
	}
	m.client = client
	for stopping.Err() == nil {
		ctx, cancel := context.WithTimeout(stopping, 200*time.Millisecond)
		fetches := client.PollFetches(ctx)
		cancel()
		m.handOut(fetches)
		m.commit(context.Background(), m.pendingOf(nil))
		client.AllowRebalance()
	}
	m.commit(context.Background(), m.pendingOf(nil))
	client.CloseAllowingRebalance()
	return nil
}

func (m *member) handOut(fetches kgo.Fetches) {
	fetches.EachPartition(func(partition kgo.FetchTopicPartition) {
		if len(partition.Records) == 0 {
			return
		}
		var offsets []int64
		for _, record := range partition.Records {
			offsets = append(offsets, record.Offset)
		}
		say("records", fields{"partition": partition.Partition, "offsets": offsets})
		last := partition.Records[len(partition.Records)-1]
		m.lock.Lock()
		defer m.lock.Unlock()
		m.pending[partition.Partition] = kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.Offset + 1}
	})
}

// What is handed out and not known to be committed, of some partitions or of all.
func (m *member) pendingOf(partitions []int32) map[int32]kgo.EpochOffset {
	m.lock.Lock()
	defer m.lock.Unlock()
	found := map[int32]kgo.EpochOffset{}
	for partition, offset := range m.pending {
		if partitions == nil || contains(partitions, partition) {
			found[partition] = offset
		}
	}
	return found
}

func contains(list []int32, wanted int32) bool {
	for _, one := range list {
		if one == wanted {
			return true
		}
	}
	return false
}

func (m *member) commit(ctx context.Context, offsets map[int32]kgo.EpochOffset) {
	if len(offsets) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	wanted := map[string]map[int32]kgo.EpochOffset{m.topic: offsets}
	m.client.CommitOffsetsSync(ctx, wanted,
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				say("uncommitted", fields{"why": err.Error()})
				return
			}
			m.onCommitted(offsets, answer)
		})
}

func (m *member) onCommitted(offsets map[int32]kgo.EpochOffset, answer *kmsg.OffsetCommitResponse) {
	m.lock.Lock()
	defer m.lock.Unlock()
	good := map[string]int64{}
	for _, topic := range answer.Topics {
		for _, partition := range topic.Partitions {
			if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
				say("uncommitted", fields{"why": err.Error()})
				continue
			}
			offset := offsets[partition.Partition]
			good[strconv.Itoa(int(partition.Partition))] = offset.Offset
			if m.pending[partition.Partition] == offset {
				delete(m.pending, partition.Partition)
			}
		}
	}
	say("committed", fields{"offsets": good})
}

func (m *member) tell(event string, partitions []int32) {
	sorted := append([]int32{}, partitions...)
	sort.Slice(sorted, func(a, b int) bool { return sorted[a] < sorted[b] })
	say(event, fields{"partitions": sorted})
}

func (m *member) letGo(event string, partitions []int32) {
	m.lock.Lock()
	for _, partition := range partitions {
		delete(m.pending, partition)
	}
	m.lock.Unlock()
	m.tell(event, partitions)
}

// Sends at a rate until the standard input ends.
func produce(stopping context.Context, given options) error {
	codecs := map[string]kgo.CompressionCodec{"": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	client, err := kgo.NewClient(kgo.SeedBrokers(given["bootstrap"]), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5*time.Millisecond), kgo.ProducerBatchCompression(codecs[given["codec"]]))
	if err != nil {
		return err
	}
	defer client.Close()
	var failed error
	var lock sync.Mutex
	partitions := given.number("partitions")
	burst := given.number("rate") / 100
	for sent := 0; stopping.Err() == nil; sent++ {
		record := &kgo.Record{Topic: given["topic"], Partition: int32(sent % partitions),
			Value: []byte(strconv.Itoa(sent))}
		client.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
			lock.Lock()
			defer lock.Unlock()
			if err != nil {
				failed = err
			}
		})
		if sent%burst == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	if err := client.Flush(context.Background()); err != nil {
		return err
	}
	lock.Lock()
	defer lock.Unlock()
	return failed
}
