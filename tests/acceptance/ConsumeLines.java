import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Reads a partition from its beginning and demands that it holds the lines of a file, in order, and nothing else. */
public final class ConsumeLines {
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    public static void main(String[] arguments) throws IOException {
        if (arguments.length != 3) {
            throw new IllegalArgumentException("ConsumeLines BOOTSTRAP TOPIC FILE");
        }
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("enable.auto.commit", "false");
        TopicPartition partition = new TopicPartition(arguments[1], 0);
        try (InputStream file = new BufferedInputStream(new FileInputStream(arguments[2]), 1 << 20);
                KafkaConsumer<byte[], byte[]> consumer =
                        new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            long started = System.nanoTime();
            long next = consumeTo(end, file, consumer);
            if (nextLine(file) != null) {
                throw new AssertionError("the partition ends at " + next + ", the file goes on");
            }
            double seconds = (System.nanoTime() - started) / 1e9;
            System.out.printf("%d lines, the same and in order, in %.1f s%n", next, seconds);
        }
    }

    private static long consumeTo(long end, InputStream file, KafkaConsumer<byte[], byte[]> consumer)
            throws IOException {
        long next = 0;
        while (next < end) {
            ConsumerRecords<byte[], byte[]> records = consumer.poll(PATIENCE);
            if (records.isEmpty()) {
                throw new AssertionError("nothing for " + PATIENCE + " at offset " + next + " of " + end);
            }
            for (ConsumerRecord<byte[], byte[]> record : records) {
                byte[] line = nextLine(file);
                if (record.offset() != next || record.key() != null || !Arrays.equals(record.value(), line)) {
                    throw new AssertionError("expected offset " + next + " " + text(line) + ", got offset "
                            + record.offset() + " " + text(record.value()));
                }
                next++;
            }
        }
        return next;
    }

    /** The next line without its end; null at the end of the file. */
    private static byte[] nextLine(InputStream file) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream(256);
        for (int c = file.read(); c != '\n'; c = file.read()) {
            if (c < 0) {
                return null;
            }
            line.write(c);
        }
        return line.toByteArray();
    }

    private static String text(byte[] bytes) {
        return bytes == null ? "nothing" : "'" + new String(bytes, java.nio.charset.StandardCharsets.UTF_8) + "'";
    }
}
