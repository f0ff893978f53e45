import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Transactions in a topic's partition 0, every third of them aborted; or, with {@code verify}, that a reader sees what
 * was committed and nothing else with read_committed, and all of it otherwise. Each of the COUNT transactions has ten
 * records.
 */
public final class Transactions {
    private static final int RECORDS = 10;

    public static void main(String[] arguments) {
        if (arguments.length != 4) {
            throw new IllegalArgumentException("Transactions write|verify BOOTSTRAP TOPIC COUNT");
        }
        int count = Integer.parseInt(arguments[3]);
        if (arguments[0].equals("write")) {
            write(arguments[1], arguments[2], count);
        } else {
            verify(arguments[1], arguments[2], count, "read_committed");
            verify(arguments[1], arguments[2], count, "read_uncommitted");
        }
    }

    private static boolean aborted(int transaction) {
        return transaction % 3 == 1;
    }

    private static String value(int transaction, int record) {
        return "transaction " + transaction + " record " + record;
    }

    private static void write(String bootstrap, String topic, int count) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("transactional.id", "acceptance");
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            producer.initTransactions();
            for (int transaction = 0; transaction < count; transaction++) {
                producer.beginTransaction();
                for (int record = 0; record < RECORDS; record++) {
                    byte[] value = value(transaction, record).getBytes(StandardCharsets.UTF_8);
                    producer.send(new ProducerRecord<>(topic, 0, null, value));
                }
                producer.flush();
                if (aborted(transaction)) {
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                }
            }
        }
    }

    private static void verify(String bootstrap, String topic, int count, String isolation) {
        List<String> expected = new ArrayList<>();
        for (int transaction = 0; transaction < count; transaction++) {
            for (int record = 0; record < RECORDS; record++) {
                if (isolation.equals("read_uncommitted") || !aborted(transaction)) {
                    expected.add(value(transaction, record));
                }
            }
        }
        List<String> found = new ArrayList<>();
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("enable.auto.commit", "false");
        settings.put("isolation.level", isolation);
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            long deadline = System.nanoTime() + 30_000_000_000L;
            while (consumer.position(partition) < end) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    found.add(new String(record.value(), StandardCharsets.UTF_8));
                }
                if (System.nanoTime() > deadline) {
                    throw new AssertionError(isolation + ": stuck at " + consumer.position(partition) + " of " + end);
                }
            }
        }
        if (!found.equals(expected)) {
            throw new AssertionError(isolation + ": expected " + expected + ", got " + found);
        }
        System.out.println(isolation + ": " + found.size() + " records, as they were committed");
    }
}
