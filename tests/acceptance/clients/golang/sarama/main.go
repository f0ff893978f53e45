// Sarama behind the command line of ../../README.md; it knows the classic protocol only, and eager assignors.
package main

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"ottla/acceptance/golang/program"
)

func main() {
	program.Main(map[string]func(context.Context, program.Options) error{
		"member": member, "produce": produce, "admin": admin})
}

// It speaks as it would to a broker of this release: of the newest it knows, or of the one that it was told.
func release() sarama.KafkaVersion {
	told, err := sarama.ParseKafkaVersion(os.Getenv("SARAMA_VERSION"))
	if err != nil {
		return sarama.MaxVersion
	}
	return told
}

func settings(given program.Options) *sarama.Config {
	config := sarama.NewConfig()
	config.Version = release()
	config.Metadata.Retry.Max = 100
	config.Metadata.Retry.Backoff = 100 * time.Millisecond
	if given["id"] != "" {
		config.ClientID = given["id"]
	}
	return config
}

// Of one session: Sarama starts a ConsumeClaim for each partition, and calls Cleanup when all have ended.
type handler struct {
	topic string
}

func partitionsOf(session sarama.ConsumerGroupSession, topic string) []int {
	var partitions []int
	for _, partition := range session.Claims()[topic] {
		partitions = append(partitions, int(partition))
	}
	return partitions
}

func (h handler) Setup(session sarama.ConsumerGroupSession) error {
	program.Tell("assigned", partitionsOf(session, h.topic))
	return nil
}

func (h handler) Cleanup(session sarama.ConsumerGroupSession) error {
	session.Commit()
	program.Tell("revoked", partitionsOf(session, h.topic))
	return nil
}

func (h handler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		offsets := []int64{message.Offset}
		for len(claim.Messages()) > 0 {
			message = <-claim.Messages()
			offsets = append(offsets, message.Offset)
		}
		// It answers with an error only what it is asked for later: what it has committed is not known here.
		program.Say("records", program.Fields{"partition": claim.Partition(), "offsets": offsets})
		session.MarkMessage(message, "")
	}
	return nil
}

func member(stopping context.Context, given program.Options) error {
	config := settings(given)
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Interval = 100 * time.Millisecond
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	config.Consumer.Group.Session.Timeout = given.Millis("session-ms")
	config.Consumer.Group.Heartbeat.Interval = program.Heartbeat
	config.Consumer.Group.InstanceId = given["static"]
	config.Consumer.Group.Rebalance.Retry.Max = 100
	config.Consumer.Group.Rebalance.Retry.Backoff = 200 * time.Millisecond
	strategies := map[string]sarama.BalanceStrategy{"": sarama.NewBalanceStrategyRange(),
		"range": sarama.NewBalanceStrategyRange(), "roundrobin": sarama.NewBalanceStrategyRoundRobin(),
		"sticky": sarama.NewBalanceStrategySticky()}
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategies[given["assignor"]]}
	group, err := sarama.NewConsumerGroup([]string{given["bootstrap"]}, given["group"], config)
	if err != nil {
		return err
	}
	for stopping.Err() == nil {
		err := group.Consume(stopping, []string{given["topic"]}, handler{given["topic"]})
		if err != nil && !errors.Is(err, sarama.ErrClosedConsumerGroup) && stopping.Err() == nil {
			program.Say("uncommitted", program.Fields{"why": err.Error()})
			time.Sleep(100 * time.Millisecond)
		}
	}
	return group.Close()
}

func produce(stopping context.Context, given program.Options) error {
	config := settings(given)
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	config.Producer.Retry.Max = 1000
	config.Producer.Retry.Backoff = 100 * time.Millisecond
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Flush.Frequency = 5 * time.Millisecond
	config.Producer.Compression = map[string]sarama.CompressionCodec{"": sarama.CompressionNone,
		"gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4,
		"zstd": sarama.CompressionZSTD}[given["codec"]]
	// Closing drops batches that are between two attempts: it waits until everything that was sent is answered.
	config.Producer.Return.Successes = true
	producer, err := sarama.NewAsyncProducer([]string{given["bootstrap"]}, config)
	if err != nil {
		return err
	}
	var unanswered sync.WaitGroup
	failed := make(chan error, 1)
	go func() {
		var first error
		for why := range producer.Errors() {
			if first == nil {
				first = why
			}
			unanswered.Done()
		}
		failed <- first
	}()
	go func() {
		for range producer.Successes() {
			unanswered.Done()
		}
	}()
	partitions, burst := given.Number("partitions"), given.Number("rate")/100
	for sent := 0; stopping.Err() == nil; sent++ {
		unanswered.Add(1)
		producer.Input() <- &sarama.ProducerMessage{Topic: given["topic"], Partition: int32(sent % partitions),
			Value: sarama.StringEncoder(strconv.Itoa(sent))}
		if sent%burst == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	unanswered.Wait()
	producer.AsyncClose()
	return <-failed
}
