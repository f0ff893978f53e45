import java.lang.reflect.InvocationTargetException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache Kafka's own client behind the command line that README.md beside this folder describes. */
public final class GroupClient {
    private static final String ASSIGNORS = "org.apache.kafka.clients.consumer.";
    private static final Map<String, String> ASSIGNOR_CLASSES = Map.of(
            "range", ASSIGNORS + "RangeAssignor",
            "roundrobin", ASSIGNORS + "RoundRobinAssignor",
            "sticky", ASSIGNORS + "StickyAssignor",
            "cooperative-sticky", ASSIGNORS + "CooperativeStickyAssignor");

    /** What a rebalance waits for; below the shortest session. */
    static final int HEARTBEAT_MS = 600;

    /** Ten seconds of them. */
    private static final int LAST_POLLS_MAX = 100;

    private static volatile boolean stopping;

    public static void main(String[] arguments) {
        Map<String, String> options = new HashMap<>();
        for (int i = 1; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i].substring(2), arguments[i + 1]);
        }
        try {
            switch (arguments[0]) {
                case "member": new GroupMember(options).run(); break;
                case "produce": produce(options); break;
                case "admin": run(options, "AdminCalls", "OldAdminCalls"); break;
                case "elect": run(options, "Elector"); break;
                default: throw new IllegalArgumentException(arguments[0]);
            }
        } catch (Throwable why) {
            why.printStackTrace();
            say("failed", "\"why\": " + quoted(why.toString()));
            Runtime.getRuntime().halt(1);
        }
        Runtime.getRuntime().halt(0);
    }

    /** Not every release of the client can compile all programs: the first of these that is there. */
    private static void run(Map<String, String> options, String... programs) throws Throwable {
        for (String program : programs) {
            Class<?> type;
            try {
                type = Class.forName(program);
            } catch (ClassNotFoundException notThere) {
                continue;
            }
            try {
                type.getDeclaredMethod("run", Map.class).invoke(null, options);
            } catch (InvocationTargetException thrown) {
                throw thrown.getCause();
            }
            return;
        }
        throw new ClassNotFoundException(String.join(" or ", programs));
    }

    static boolean stopping() {
        return stopping;
    }

    static synchronized void say(String event, String rest) {
        Instant now = Instant.now();
        long at = now.getEpochSecond() * 1_000_000 + now.getNano() / 1000;
        System.out.println("{\"at\": " + at + ", \"event\": \"" + event + "\", " + rest + "}");
        System.out.flush();
    }

    static String quoted(String text) {
        return '"' + text.replaceAll("[\"\\\\\\p{Cntrl}]", " ") + '"';
    }

    /** The program lives as long as its standard input. */
    static void stopWithInput(Runnable wake) {
        Thread thread = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    // Only its end matters.
                }
            } catch (java.io.IOException ended) {
                // As good as an end.
            }
            stopping = true;
            wake.run();
        });
        thread.setDaemon(true);
        thread.start();
    }

    private static void produce(Map<String, String> options) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", options.get("bootstrap"));
        settings.put("acks", "all");
        settings.put("linger.ms", "5");
        settings.put("compression.type", options.getOrDefault("codec", "none"));
        settings.put("reconnect.backoff.max.ms", "200");
        int partitions = Integer.parseInt(options.get("partitions"));
        long pauseMs = 10;
        long burst = Long.parseLong(options.get("rate")) * pauseMs / 1000;
        stopWithInput(() -> { });
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (long sent = 0; !stopping; sent++) {
                byte[] value = Long.toString(sent).getBytes();
                producer.send(new ProducerRecord<>(options.get("topic"), (int) (sent % partitions), null, value));
                if (sent % burst == 0) {
                    Thread.sleep(pauseMs);
                }
            }
        }
    }

    /** One member of a group. */
    private static final class GroupMember implements ConsumerRebalanceListener {
        private final Map<String, String> options;
        private final KafkaConsumer<byte[], byte[]> consumer;
        /** Handed out, and not yet known to be committed. */
        private final Map<TopicPartition, OffsetAndMetadata> pending = new HashMap<>();

        GroupMember(Map<String, String> options) {
            this.options = options;
            Properties settings = new Properties();
            settings.put("bootstrap.servers", options.get("bootstrap"));
            settings.put("client.id", options.get("id"));
            settings.put("group.id", options.get("group"));
            settings.put("group.protocol", options.get("protocol"));
            settings.put("enable.auto.commit", "false");
            settings.put("auto.offset.reset", "earliest");
            settings.put("reconnect.backoff.max.ms", "200");
            settings.put("fetch.max.wait.ms", "100");
            settings.put("default.api.timeout.ms", "5000");
            if (options.containsKey("static")) {
                settings.put("group.instance.id", options.get("static"));
            }
            if (options.get("protocol").equals("consumer")) {
                if (options.containsKey("assignor")) {
                    settings.put("group.remote.assignor", options.get("assignor"));
                }
            } else {
                settings.put("session.timeout.ms", options.get("session-ms"));
                settings.put("heartbeat.interval.ms", HEARTBEAT_MS);
                settings.put("partition.assignment.strategy",
                        ASSIGNOR_CLASSES.get(options.getOrDefault("assignor", "range")));
            }
            consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        }

        void run() {
            if (options.containsKey("pattern")) {
                subscribe(options.get("pattern"));
            } else {
                consumer.subscribe(List.of(options.get("topic")), this);
            }
            stopWithInput(consumer::wakeup);
            while (!stopping) {
                try {
                    handOut(consumer.poll(Duration.ofMillis(200)));
                    commit(pending);
                } catch (WakeupException stop) {
                    // The condition above is false now.
                }
            }
            // In a rebalance nothing can be committed: it is completed first.
            for (int i = 0; i < LAST_POLLS_MAX; i++) {
                try {
                    if (commit(pending)) {
                        break;
                    }
                    handOut(consumer.poll(Duration.ofMillis(100)));
                } catch (WakeupException late) {
                    // The one that was to end the loop above, when that had seen the end already.
                }
            }
            consumer.close();
        }

        /** To an expression that the broker resolves: since 4.0. */
        private void subscribe(String pattern) {
            try {
                Class<?> type = Class.forName("org.apache.kafka.clients.consumer.SubscriptionPattern");
                Object wanted = type.getConstructor(String.class).newInstance(pattern);
                KafkaConsumer.class.getMethod("subscribe", type, ConsumerRebalanceListener.class)
                        .invoke(consumer, wanted, this);
            } catch (ReflectiveOperationException why) {
                throw new IllegalStateException(why);
            }
        }

        private void handOut(ConsumerRecords<byte[], byte[]> records) {
            for (TopicPartition partition : records.partitions()) {
                List<ConsumerRecord<byte[], byte[]>> list = records.records(partition);
                List<Long> offsets = list.stream().map(ConsumerRecord::offset).collect(Collectors.toList());
                say("records", "\"partition\": " + partition.partition() + ", \"offsets\": " + offsets);
                pending.put(partition, new OffsetAndMetadata(offsets.get(offsets.size() - 1) + 1));
            }
        }

        /** Whether there is nothing left of it. */
        private boolean commit(Map<TopicPartition, OffsetAndMetadata> some) {
            if (some.isEmpty()) {
                return true;
            }
            Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>(some);
            try {
                consumer.commitSync(offsets);
            } catch (WakeupException stop) {
                // The last commit, before the close, is not disturbed again.
                return false;
            } catch (KafkaException why) {
                say("uncommitted", "\"why\": " + quoted(why.toString()));
                return false;
            }
            pending.entrySet().removeAll(offsets.entrySet());
            Map<Integer, Long> next = new TreeMap<>();
            offsets.forEach((partition, offset) -> next.put(partition.partition(), offset.offset()));
            String pairs = next.entrySet().stream()
                    .map(pair -> "\"" + pair.getKey() + "\": " + pair.getValue())
                    .collect(Collectors.joining(", "));
            say("committed", "\"offsets\": {" + pairs + "}");
            return true;
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            tell("assigned", partitions);
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            Map<TopicPartition, OffsetAndMetadata> last = new HashMap<>(pending);
            last.keySet().retainAll(partitions);
            commit(last);
            pending.keySet().removeAll(partitions);
            tell("revoked", partitions);
        }

        /** Overrides since 2.4. */
        public void onPartitionsLost(Collection<TopicPartition> partitions) {
            pending.keySet().removeAll(partitions);
            tell("lost", partitions);
        }

        private static void tell(String event, Collection<TopicPartition> partitions) {
            List<Integer> numbers = new ArrayList<>();
            partitions.forEach(partition -> numbers.add(partition.partition()));
            numbers.sort(null);
            say(event, "\"partitions\": " + numbers);
        }
    }
}
