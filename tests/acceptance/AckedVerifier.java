import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads all of each topic and compares it with what {@link AckedProducer} was told: every acknowledged record there,
 * once, at its offset, in the order in which it was sent; and of the others nothing twice and no gap. Says what it found in
 * one line; ends with 1 when anything is wrong.
 */
public final class AckedVerifier {
    private static final Duration PATIENCE = Duration.ofSeconds(30);
    private static final int COMPLAINTS_MAX = 5;

    /** By partition: the offset of each acknowledged number. */
    private final Map<Integer, Map<Long, Long>> acked = new HashMap<>();
    private final List<String> complaints = new ArrayList<>();
    private long read;
    private long answers;
    private long failed;
    private long lost;
    private long repeated;
    private long moved;
    private long skipped;
    private long foreign;

    public static void main(String[] arguments) throws IOException {
        if (arguments.length < 3 || arguments.length % 2 == 0) {
            throw new IllegalArgumentException("AckedVerifier BOOTSTRAP [TOPIC LOG]...");
        }
        AckedVerifier run = new AckedVerifier();
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("enable.auto.commit", "false");
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            for (int topic = 1; topic < arguments.length; topic += 2) {
                run.verify(arguments[topic], Path.of(arguments[topic + 1]), consumer);
            }
        }
        run.complaints.forEach(System.out::println);
        System.out.printf(
                "%d records, %d acknowledged, %d lost, %d repeated, %d moved, %d skipped, %d foreign, %d failed%n",
                run.read, run.answers, run.lost, run.repeated, run.moved, run.skipped, run.foreign, run.failed);
        boolean good = run.lost + run.repeated + run.moved + run.skipped + run.foreign + run.failed == 0;
        System.exit(good ? 0 : 1);
    }

    private void verify(String topic, Path log, KafkaConsumer<byte[], byte[]> consumer) throws IOException {
        acked.clear();
        load(log);
        List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                .map(each -> new TopicPartition(topic, each.partition()))
                .collect(Collectors.toList());
        for (TopicPartition partition : partitions) {
            verify(partition, consumer);
        }
    }

    private void load(Path log) throws IOException {
        try (BufferedReader lines = Files.newBufferedReader(log)) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                String[] words = line.split(" ", 4);
                if (words[0].equals("failed")) {
                    failed++;
                    complain("given up: " + line);
                } else {
                    answers++;
                    Map<Long, Long> offsets = acked.computeIfAbsent(Integer.valueOf(words[0]), any -> new HashMap<>());
                    offsets.put(Long.valueOf(words[2]), Long.valueOf(words[1]));
                }
            }
        }
    }

    private void verify(TopicPartition partition, KafkaConsumer<byte[], byte[]> consumer) {
        Map<Long, Long> expected = acked.getOrDefault(partition.partition(), new HashMap<>());
        consumer.assign(List.of(partition));
        consumer.seekToBeginning(List.of(partition));
        long end = consumer.endOffsets(List.of(partition)).get(partition);
        long next = 0;
        long due = 0;
        while (next < end) {
            ConsumerRecords<byte[], byte[]> records = consumer.poll(PATIENCE);
            if (records.isEmpty()) {
                throw new AssertionError(partition + ": nothing for " + PATIENCE + " at " + next + " of " + end);
            }
            for (ConsumerRecord<byte[], byte[]> record : records) {
                due = look(record, next, due, expected);
                next = record.offset() + 1;
                read++;
            }
        }
        for (Map.Entry<Long, Long> left : expected.entrySet()) {
            lost++;
            complain("lost: number " + left.getKey() + " of " + partition + ", acknowledged at offset "
                    + left.getValue() + "; the partition ends at " + end);
        }
    }

    /** One record, {@code due} being the number after all that came before; returns the next such. */
    private long look(ConsumerRecord<byte[], byte[]> record, long next, long due, Map<Long, Long> expected) {
        String where = record.topic() + "-" + record.partition() + "@" + record.offset();
        long number = NumberedRecord.number(record.partition(), record.value());
        if (number < 0 || record.offset() != next) {
            foreign++;
            complain("foreign: " + where + " is not what was sent, or not at " + next);
            return due;
        }
        Long offset = expected.remove(number);
        if (offset != null && offset != record.offset()) {
            moved++;
            complain("moved: " + where + " was acknowledged at " + offset);
        }
        if (number < due) {
            repeated++;
            complain("repeated: " + where + " has number " + number + ", " + due + " was due");
        } else if (number > due) {
            skipped += number - due;
            complain("skipped: " + where + " has number " + number + ", " + due + " was due");
        }
        return Math.max(due, number + 1);
    }

    private void complain(String what) {
        if (complaints.size() < COMPLAINTS_MAX) {
            complaints.add(what);
        }
    }
}
