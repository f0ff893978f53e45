// Kafka's own client of the years before Kafka 1.0.
//
//   OldClient BOOTSTRAP TOPIC CODEC RELEASE COUNT EXPECTED
//
// As client.py; which release it is, its class path says.

import java.util.Arrays;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.ArrayList;
import java.util.List;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;

public class OldClient {
    static final String STRINGS = "org.apache.kafka.common.serialization.String";
    static final long PATIENCE_MS = 30_000;

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0], topic = args[1], codec = args[2];
        int count = Integer.parseInt(args[4]), expected = Integer.parseInt(args[5]);
        produce(bootstrap, topic, codec, count);
        KafkaConsumer<String, String> reader = consumer(bootstrap, topic);
        List<String> values = read(reader, expected, PATIENCE_MS);
        reader.commitSync();
        long committed = reader.committed(new TopicPartition(topic, 0)).offset();
        reader.close();
        KafkaConsumer<String, String> again = consumer(bootstrap, topic);
        int left = read(again, 1, 2_000).size();
        again.close();
        if (values.size() != expected || committed != expected || left != 0)
            throw new IllegalStateException(values.size() + " read, " + committed + " committed, " + left + " left");
        System.out.println(String.join("\n", values));
    }

    static void produce(String bootstrap, String topic, String codec, int count) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("key.serializer", STRINGS + "Serializer");
        properties.put("value.serializer", STRINGS + "Serializer");
        properties.put("compression.type", codec);
        properties.put("acks", "all");
        properties.put("linger.ms", "20");
        properties.put("batch.size", "300");
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        KafkaProducer<String, String> producer = new KafkaProducer<>(properties);
        for (int n = 0; n < count; n++)
            sent.add(producer.send(new ProducerRecord<String, String>(topic, "k" + n, "old " + n)));
        for (int n = 1; n < count; n++)
            if (sent.get(n).get().offset() != sent.get(0).get().offset() + n)
                throw new IllegalStateException("record " + n + " has another offset");
        producer.close();
    }

    static KafkaConsumer<String, String> consumer(String bootstrap, String topic) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("key.deserializer", STRINGS + "Deserializer");
        properties.put("value.deserializer", STRINGS + "Deserializer");
        properties.put("group.id", "readers of " + topic);
        properties.put("auto.offset.reset", "earliest");
        properties.put("enable.auto.commit", "false");
        KafkaConsumer<String, String> made = new KafkaConsumer<>(properties);
        made.subscribe(Arrays.asList(topic));
        return made;
    }

    @SuppressWarnings("deprecation")
    static List<String> read(KafkaConsumer<String, String> reader, int wanted, long patience) {
        List<String> values = new ArrayList<>();
        long end = System.currentTimeMillis() + patience;
        while (values.size() < wanted && System.currentTimeMillis() < end) {
            ConsumerRecords<String, String> records = reader.poll(200);
            for (ConsumerRecord<String, String> record : records) {
                if (record.offset() != values.size())
                    throw new IllegalStateException("offset " + record.offset() + " in place " + values.size());
                values.add(record.value());
            }
        }
        return values;
    }
}
