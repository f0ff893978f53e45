import java.time.Duration;
import java.util.BitSet;
import java.util.Properties;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Numbers come in without a key, are given one, and so go through a repartition topic; how many came with each key, and
 * which ones in each window of time, are kept in stores with changelogs.
 *
 * Counts INSTANCE BOOTSTRAP FOLDER APPLICATION. It prints a line whenever its tasks or its state have changed
 * ("tasks 0_1 1_2 RUNNING"), and one for each store that it has read back ("restored TOPIC-PARTITION RECORDS"). It runs
 * until it is told to end.
 */
public final class Counts {
    /** So many keys. */
    private static final int KEYS = 7;
    /** A few of them in a run. */
    private static final Duration WINDOW = Duration.ofSeconds(20);
    /** Nothing is ever too late. */
    private static final Duration GRACE = Duration.ofHours(12);

    private Counts() {
    }

    public static void main(String[] arguments) throws InterruptedException {
        KafkaStreams streams = new KafkaStreams(topology(), settings(arguments));
        streams.setGlobalStateRestoreListener(new Restored());
        CountDownLatch ending = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(Duration.ofSeconds(30));
            ending.countDown();
        }));
        streams.start();
        String told = "";
        while (!ending.await(100, TimeUnit.MILLISECONDS)) {
            String now = tasks(streams) + " " + streams.state();
            if (!now.equals(told)) {
                say("tasks " + now);
                told = now;
            }
        }
    }

    private static Topology topology() {
        StreamsBuilder builder = new StreamsBuilder();
        KGroupedStream<String, String> byKey = builder
                .stream("numbers", Consumed.with(Serdes.String(), Serdes.String()))
                .selectKey((none, number) -> "k" + Integer.parseInt(number) % KEYS)
                .repartition(Repartitioned.with(Serdes.String(), Serdes.String()).withName("keyed"))
                .groupByKey(Grouped.with(Serdes.String(), Serdes.String()));
        byKey.count(Materialized.as("totals"))
                .toStream()
                .mapValues(String::valueOf)
                .to("totals", Produced.with(Serdes.String(), Serdes.String()));
        // A set, not a sum: what is processed a second time changes nothing, so that it can be checked to the number
        // after a death, too.
        byKey.windowedBy(TimeWindows.ofSizeAndGrace(WINDOW, GRACE))
                .aggregate(BitSet::new, (key, number, seen) -> {
                    seen.set(Integer.parseInt(number));
                    return seen;
                }, Materialized.<String, BitSet, WindowStore<Bytes, byte[]>>as("windows").withValueSerde(bits()))
                .toStream((window, seen) -> window.key() + "@" + window.window().start())
                .mapValues(seen -> seen.stream().mapToObj(String::valueOf).collect(Collectors.joining(",")))
                .to("windows", Produced.with(Serdes.String(), Serdes.String()));
        return builder.build();
    }

    private static Serde<BitSet> bits() {
        return Serdes.serdeFrom((topic, bits) -> bits == null ? null : bits.toByteArray(),
                (topic, bytes) -> bytes == null ? null : BitSet.valueOf(bytes));
    }

    private static Properties settings(String[] arguments) {
        Properties settings = new Properties();
        settings.put("client.id", arguments[0]);
        settings.put("bootstrap.servers", arguments[1]);
        settings.put("state.dir", arguments[2]);
        settings.put("application.id", arguments[3]);
        settings.put("default.key.serde", Serdes.String().getClass().getName());
        settings.put("processing.guarantee", "at_least_once");
        settings.put("num.stream.threads", "1");
        settings.put("commit.interval.ms", "200");
        settings.put("consumer.auto.offset.reset", "earliest");
        settings.put("consumer.session.timeout.ms", "6000");
        settings.put("consumer.heartbeat.interval.ms", "1500");
        settings.put("reconnect.backoff.max.ms", "200");
        return settings;
    }

    private static String tasks(KafkaStreams streams) {
        TreeSet<String> tasks = new TreeSet<>();
        streams.metadataForLocalThreads().forEach(thread ->
                thread.activeTasks().forEach(task -> tasks.add(task.taskId().toString())));
        return String.join(" ", tasks);
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static final class Restored implements StateRestoreListener {
        @Override
        public void onRestoreStart(TopicPartition partition, String store, long from, long to) {
            // Only what has come is told.
        }

        @Override
        public void onBatchRestored(TopicPartition partition, String store, long end, long records) {
            // As above.
        }

        @Override
        public void onRestoreEnd(TopicPartition partition, String store, long records) {
            say("restored " + partition + " " + records);
        }
    }
}
