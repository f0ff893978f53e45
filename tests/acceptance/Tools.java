import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Apache Kafka's own tools, all of them in this one process, by a script, and prints what they print:
 * {@code Tools BOOTSTRAP SCRIPT...}. A line of a script is one of
 *
 * <pre>
 *   # a comment                  nothing
 *   == name                      a new case
 *   [sorted] [only=REGEX] kafka-TOOL ARGUMENT...
 *                                the tool; 'single quotes' hold words together, $B is the bootstrap server. What it
 *                                prints follows, lines sorted, or only those that match; and how it ended
 *   input TEXT                   what the next tool reads, with | for an end of line
 *   join MEMBER GROUP PROTOCOL TOPIC
 *                                a consumer that stays, by the classic or consumer protocol, once it has partitions
 *   leave MEMBER                 it closes
 *   sleep MS                     what a broker does behind an answer takes time
 * </pre>
 */
public final class Tools {
    private static final String PACKAGE = "org.apache.kafka.tools.";
    private static final Map<String, String> CLASSES = Map.ofEntries(
        Map.entry("kafka-acls", "AclCommand"),
        Map.entry("kafka-broker-api-versions", "BrokerApiVersionsCommand"),
        Map.entry("kafka-cluster", "ClusterTool"),
        Map.entry("kafka-configs", "org.apache.kafka.tools.ConfigCommand kafka.admin.ConfigCommand"),
        Map.entry("kafka-console-consumer", "consumer.ConsoleConsumer"),
        Map.entry("kafka-console-producer", "ConsoleProducer"),
        Map.entry("kafka-consumer-perf-test", "ConsumerPerformance"),
        Map.entry("kafka-consumer-groups", "consumer.group.ConsumerGroupCommand"),
        Map.entry("kafka-delete-records", "DeleteRecordsCommand"),
        Map.entry("kafka-dump-log", "DumpLogSegments"),
        Map.entry("kafka-features", "FeatureCommand"),
        Map.entry("kafka-get-offsets", "GetOffsetShell"),
        Map.entry("kafka-groups", "GroupsCommand"),
        Map.entry("kafka-leader-election", "LeaderElectionCommand"),
        Map.entry("kafka-log-dirs", "LogDirsCommand"),
        Map.entry("kafka-metadata-quorum", "MetadataQuorumCommand"),
        Map.entry("kafka-producer-perf-test", "ProducerPerformance"),
        Map.entry("kafka-reassign-partitions", "reassign.ReassignPartitionsCommand"),
        Map.entry("kafka-storage", "kafka.tools.StorageTool"),
        Map.entry("kafka-topics", "TopicCommand"),
        Map.entry("kafka-transactions", "TransactionsCommand"));
    private static final Pattern WORD = Pattern.compile("'([^']*)'|(\\S+)");

    /** A tool wants to end the process. */
    private static final class Ended extends RuntimeException {
        Ended() {
            super(null, null, false, false);
        }
    }

    private final String bootstrap;
    private final PrintStream out = System.out;
    /** What the tool that runs has printed, up to where it wanted to end, and how. */
    private ByteArrayOutputStream printed = new ByteArrayOutputStream();
    private Integer status;
    /** What it wants to have done at its end: a producer is flushed there. */
    private final List<Runnable> hooks = new ArrayList<>();
    private int length;
    private final Map<String, Member> members = new LinkedHashMap<>();
    private String input = "";

    private Tools(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length < 2) {
            throw new IllegalArgumentException("Tools BOOTSTRAP SCRIPT...");
        }
        Tools tools = new Tools(arguments[0]);
        Exit.setExitProcedure((status, message) -> tools.end(status));
        Exit.setHaltProcedure((status, message) -> tools.end(status));
        Exit.setShutdownHookAdder((name, hook) -> tools.hooks.add(hook));
        for (String script : Arrays.asList(arguments).subList(1, arguments.length)) {
            for (String line : Files.readAllLines(Path.of(script))) {
                if (!line.isBlank() && !line.startsWith("#")) {
                    tools.line(line);
                }
            }
        }
        for (Member member : tools.members.values()) {
            member.leave();
        }
        tools.out.flush();
        // A tool may have left a thread behind.
        Runtime.getRuntime().halt(0);
    }

    /** The first end counts: some tools catch it like any other exception, complain and end again. */
    private void end(int status) {
        if (this.status == null) {
            this.status = status;
            length = printed.size();
        }
        throw new Ended();
    }

    private void line(String line) throws Exception {
        out.println(line.startsWith("==") ? line : "> " + line);
        List<String> words = words(line);
        switch (words.get(0)) {
            case "==" -> { }
            case "input" -> input = line.substring("input ".length()).replace('|', '\n') + "\n";
            case "sleep" -> Thread.sleep(Long.parseLong(words.get(1)));
            case "join" -> {
                Member member = new Member(words);
                members.put(words.get(1), member);
                out.println(member.joined.await(30, TimeUnit.SECONDS) ? "joined" : "has no partitions");
            }
            case "leave" -> members.remove(words.get(1)).leave();
            default -> run(words);
        }
        out.flush();
    }

    private List<String> words(String line) {
        List<String> words = new ArrayList<>();
        Matcher matcher = WORD.matcher(line);
        while (matcher.find()) {
            words.add((matcher.group(1) != null ? matcher.group(1) : matcher.group(2)).replace("$B", bootstrap));
        }
        return words;
    }

    private void run(List<String> words) throws Exception {
        boolean sorted = false;
        Pattern only = null;
        while (!words.get(0).startsWith("kafka-")) {
            String option = words.remove(0);
            if (option.equals("sorted")) {
                sorted = true;
            } else if (option.startsWith("only=")) {
                only = Pattern.compile(option.substring("only=".length()));
            } else {
                throw new IllegalArgumentException(option);
            }
        }
        String tool = words.remove(0);
        capture(tool, words.toArray(String[]::new));
        String text = printed.toString(StandardCharsets.UTF_8);
        if (sorted) {
            // JSON lists have no order either.
            text = text.replace("},{", "}\n,{");
        }
        List<String> lines = new ArrayList<>(text.lines().toList());
        // Where in its code a tool has failed is not what it says.
        lines.removeIf(Pattern.compile("^\\s+(at |\\.\\.\\. \\d+ more)").asPredicate());
        if (only != null) {
            lines.removeIf(only.asPredicate().negate());
        }
        if (sorted) {
            lines.sort(null);
        }
        lines.forEach(out::println);
        out.println("ended with " + status);
    }

    private void capture(String tool, String[] arguments) throws Exception {
        PrintStream stdout = System.out;
        PrintStream stderr = System.err;
        printed = new ByteArrayOutputStream();
        status = null;
        try (PrintStream capture = new PrintStream(printed, true, StandardCharsets.UTF_8)) {
            System.setOut(capture);
            System.setErr(capture);
            System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
            mainOf(tool).invoke(null, (Object) arguments);
        } catch (InvocationTargetException thrown) {
            if (!(thrown.getCause() instanceof Ended)) {
                printed.writeBytes(("threw " + thrown.getCause() + "\n").getBytes(StandardCharsets.UTF_8));
            }
        } finally {
            hooks.forEach(Runnable::run);
            hooks.clear();
            System.setOut(stdout);
            System.setErr(stderr);
            input = "";
        }
        if (status == null) {
            status = 0;
        } else {
            byte[] before = Arrays.copyOf(printed.toByteArray(), length);
            printed.reset();
            printed.writeBytes(before);
        }
    }

    private static java.lang.reflect.Method mainOf(String tool) throws Exception {
        ClassNotFoundException missing = null;
        for (String name : CLASSES.get(tool).split(" ")) {
            try {
                Class<?> type = Class.forName(name.matches("(org|kafka)\\..*") ? name : PACKAGE + name);
                return type.getMethod("main", String[].class);
            } catch (ClassNotFoundException notThere) {
                missing = notThere;
            }
        }
        throw missing;
    }

    /** A consumer that polls on a thread of its own until it is told to leave. */
    private final class Member implements ConsumerRebalanceListener {
        final CountDownLatch joined = new CountDownLatch(1);
        private final KafkaConsumer<byte[], byte[]> consumer;
        private final Thread thread;
        private volatile boolean leaving;

        Member(List<String> words) {
            Properties properties = new Properties();
            properties.put("bootstrap.servers", bootstrap);
            properties.put("client.id", words.get(1));
            properties.put("group.id", words.get(2));
            properties.put("group.protocol", words.get(3));
            properties.put("auto.offset.reset", "earliest");
            properties.put("auto.commit.interval.ms", "100");
            consumer = new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
            String topic = words.get(4);
            thread = new Thread(() -> poll(topic), words.get(1));
            thread.setDaemon(true);
            thread.start();
        }

        private void poll(String topic) {
            consumer.subscribe(List.of(topic), this);
            while (!leaving) {
                consumer.poll(Duration.ofMillis(100));
            }
            consumer.close();
        }

        @Override
        public void onPartitionsAssigned(java.util.Collection<TopicPartition> partitions) {
            joined.countDown();
        }

        @Override
        public void onPartitionsRevoked(java.util.Collection<TopicPartition> partitions) { }

        void leave() throws InterruptedException {
            leaving = true;
            thread.join(30_000);
        }
    }
}
