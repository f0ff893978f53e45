import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * An idempotent producer with each codec: null, empty and binary keys and values, headers, timestamps. What comes back
 * must be the same bytes, in order, without a gap. For kcat to prove the same, each partition's records are written to
 * FOLDER/TOPIC.PARTITION as kcat prints them with the format in {@link #print}.
 */
public final class RoundTrip {
    private static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
    private static final int PARTITIONS = 3;
    /** Yesterday: older records would fall to retention while they are looked at. */
    private static final long FIRST_TIMESTAMP_MS = System.currentTimeMillis() - 86_400_000;
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 4) {
            throw new IllegalArgumentException("RoundTrip BOOTSTRAP TOPIC-PREFIX RECORDS FOLDER");
        }
        String bootstrap = arguments[0];
        for (String codec : CODECS) {
            String topic = arguments[1] + "-" + codec;
            create(bootstrap, topic);
            List<List<ProducerRecord<byte[], byte[]>>> sent = records(topic, Integer.parseInt(arguments[2]));
            produce(bootstrap, codec, sent);
            for (int partition = 0; partition < PARTITIONS; partition++) {
                consume(bootstrap, sent.get(partition));
                print(sent.get(partition), Path.of(arguments[3], topic + "." + partition));
            }
            System.out.println(topic + ": the same bytes");
        }
    }

    private static void create(String bootstrap, String topic) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        try (Admin admin = Admin.create(settings)) {
            admin.createTopics(List.of(new NewTopic(topic, PARTITIONS, (short) 1))).all().get();
        }
    }

    /** By partition; the same for the same arguments. */
    private static List<List<ProducerRecord<byte[], byte[]>>> records(String topic, int count) {
        List<List<ProducerRecord<byte[], byte[]>>> records = new ArrayList<>();
        for (int partition = 0; partition < PARTITIONS; partition++) {
            Random random = new Random(partition);
            List<ProducerRecord<byte[], byte[]>> list = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                // Out of order now and then, as real clocks are.
                long timestamp = FIRST_TIMESTAMP_MS + i * 10L + random.nextInt(1000);
                ProducerRecord<byte[], byte[]> record =
                        new ProducerRecord<>(topic, partition, timestamp, bytes(random, 24), bytes(random, 400));
                for (int header = random.nextInt(4); header > 0; header--) {
                    record.headers().add("name" + random.nextInt(2), withoutZeros(bytes(random, 16)));
                }
                list.add(record);
            }
            byte[] large = new byte[700_000];
            random.nextBytes(large);
            list.add(new ProducerRecord<>(topic, partition, FIRST_TIMESTAMP_MS, null, large));
            records.add(list);
        }
        return records;
    }

    /** Null, empty, text that compresses, or noise. */
    private static byte[] bytes(Random random, int most) {
        byte[] bytes = new byte[1 + random.nextInt(most)];
        switch (random.nextInt(6)) {
            case 0: return null;
            case 1: return new byte[0];
            case 2: random.nextBytes(bytes); return bytes;
            default: return utf8("all work and no play ".repeat(20).substring(0, bytes.length));
        }
    }

    /** kcat prints a header's value up to its first zero. */
    private static byte[] withoutZeros(byte[] bytes) {
        for (int i = 0; bytes != null && i < bytes.length; i++) {
            bytes[i] = bytes[i] == 0 ? 1 : bytes[i];
        }
        return bytes;
    }

    private static void produce(String bootstrap, String codec, List<List<ProducerRecord<byte[], byte[]>>> records)
            throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("enable.idempotence", "true");
        settings.put("acks", "all");
        settings.put("compression.type", codec);
        settings.put("linger.ms", "5");
        List<Future<RecordMetadata>> answers = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int i = 0; i < records.get(0).size(); i++) {
                for (List<ProducerRecord<byte[], byte[]>> partition : records) {
                    answers.add(producer.send(partition.get(i)));
                }
            }
        }
        for (int i = 0; i < answers.size(); i++) {
            RecordMetadata answer = answers.get(i).get();
            expect(answer.partition() == i % PARTITIONS && answer.offset() == i / PARTITIONS, "answer " + i, answer);
        }
    }

    private static void consume(String bootstrap, List<ProducerRecord<byte[], byte[]>> sent) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("enable.auto.commit", "false");
        TopicPartition partition = new TopicPartition(sent.get(0).topic(), sent.get(0).partition());
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            int next = 0;
            while (next < sent.size()) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(PATIENCE);
                expect(!records.isEmpty(), "something at offset " + next, "nothing for " + PATIENCE);
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    compare(next, sent.get(next), record);
                    next++;
                }
            }
            expect(consumer.endOffsets(List.of(partition)).get(partition) == next, "the end at " + next, "another");
        }
    }

    private static void compare(int offset, ProducerRecord<byte[], byte[]> sent, ConsumerRecord<byte[], byte[]> got) {
        String where = sent.topic() + "-" + sent.partition() + "@" + offset;
        expect(got.offset() == offset, where, got.offset());
        expect(Arrays.equals(sent.key(), got.key()), where + " key", got);
        expect(Arrays.equals(sent.value(), got.value()), where + " value", got);
        expect(got.timestampType() == TimestampType.CREATE_TIME, where + " CreateTime", got);
        expect(got.timestamp() == sent.timestamp(), where + " timestamp " + sent.timestamp(), got);
        Header[] before = sent.headers().toArray();
        Header[] after = got.headers().toArray();
        expect(before.length == after.length, where + " headers", got);
        for (int i = 0; i < before.length; i++) {
            expect(before[i].key().equals(after[i].key()), where + " header " + i, got);
            expect(Arrays.equals(before[i].value(), after[i].value()), where + " header " + i, got);
        }
    }

    /** As {@code kcat -C -f '%o %T %K %k %S %s %h\n'} does; there a null header value is NULL, a null key nothing. */
    private static void print(List<ProducerRecord<byte[], byte[]>> records, Path path) throws IOException {
        try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(path))) {
            for (int offset = 0; offset < records.size(); offset++) {
                ProducerRecord<byte[], byte[]> record = records.get(offset);
                write(out, offset + " " + record.timestamp() + " ");
                write(out, length(record.key()) + " ");
                out.write(orNothing(record.key()));
                write(out, " " + length(record.value()) + " ");
                out.write(orNothing(record.value()));
                String separator = " ";
                write(out, record.headers().toArray().length == 0 ? " " : "");
                for (Header header : record.headers()) {
                    write(out, separator + header.key() + "=");
                    out.write(header.value() == null ? utf8("NULL") : header.value());
                    separator = ",";
                }
                write(out, "\n");
            }
        }
    }

    private static void write(OutputStream out, String text) throws IOException {
        out.write(utf8(text));
    }

    private static int length(byte[] bytes) {
        return bytes == null ? -1 : bytes.length;
    }

    private static byte[] orNothing(byte[] bytes) {
        return bytes == null ? new byte[0] : bytes;
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void expect(boolean held, String expected, Object got) {
        if (!held) {
            throw new AssertionError("expected " + expected + ", got " + got);
        }
    }
}
