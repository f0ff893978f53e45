// Sarama as Debian 12 has it, which talks to whatever release it is told, without asking.
//
//	old-sarama BOOTSTRAP TOPIC CODEC RELEASE COUNT EXPECTED
//
// As client.py; offsets are kept without a group of members.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/Shopify/sarama"
)

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4,
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	bootstrap, topic, codec := []string{os.Args[1]}, os.Args[2], os.Args[3]
	release, err := sarama.ParseKafkaVersion(os.Args[4])
	check(err)
	count, err := strconv.Atoi(os.Args[5])
	check(err)
	expected, err := strconv.Atoi(os.Args[6])
	check(err)
	config := sarama.NewConfig()
	config.Version = release
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Compression = codecs[codec]
	config.Producer.Flush.Messages = 7
	config.Producer.Flush.Frequency = 20 * time.Millisecond
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	client, err := sarama.NewClient(bootstrap, config)
	check(err)
	produce(client, topic, count)
	consume(client, topic, int64(expected))
	check(client.Close())
}

func produce(client sarama.Client, topic string, count int) {
	producer, err := sarama.NewAsyncProducerFromClient(client)
	check(err)
	go func() {
		for n := 0; n < count; n++ {
			producer.Input() <- &sarama.ProducerMessage{
				Topic: topic, Key: sarama.StringEncoder(fmt.Sprintf("k%d", n)),
				Value: sarama.StringEncoder(fmt.Sprintf("old %d", n)),
			}
		}
	}()
	for n := 0; n < count; n++ {
		select {
		case <-producer.Successes():
		case failed := <-producer.Errors():
			check(failed)
		}
	}
	check(producer.Close())
}

func consume(client sarama.Client, topic string, expected int64) {
	manager, err := sarama.NewOffsetManagerFromClient("readers of "+topic, client)
	check(err)
	offsets, err := manager.ManagePartition(topic, 0)
	check(err)
	consumer, err := sarama.NewConsumerFromClient(client)
	check(err)
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	check(err)
	for next := int64(0); next < expected; next++ {
		select {
		case message := <-partition.Messages():
			if message.Offset != next {
				check(fmt.Errorf("offset %d in place %d", message.Offset, next))
			}
			fmt.Println(string(message.Value))
		case <-time.After(30 * time.Second):
			check(fmt.Errorf("nothing at offset %d", next))
		}
	}
	check(partition.Close())
	offsets.MarkOffset(expected, "")
	check(offsets.Close())
	check(manager.Close())
	// Somebody else finds what was committed.
	manager, err = sarama.NewOffsetManagerFromClient("readers of "+topic, client)
	check(err)
	offsets, err = manager.ManagePartition(topic, 0)
	check(err)
	if found, _ := offsets.NextOffset(); found != expected {
		check(fmt.Errorf("%d was committed, and %d is found", expected, found))
	}
	check(offsets.Close())
	check(manager.Close())
}
