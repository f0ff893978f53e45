import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Idempotent producers with acks=all that outlive their broker, however often it dies: numbered records to every
 * partition of a topic for each codec, until the file LOG.stop exists. LOG gets a line {@code PARTITION OFFSET NUMBER}
 * for each record that was acknowledged, and {@code failed PARTITION NUMBER WHY} for each that was given up.
 */
public final class AckedProducer {
    /** The smallest that Kafka allows: rolls are among what is to survive. */
    private static final String SEGMENT_BYTES = "1048576";

    /** Records between two looks at the clock. */
    private static final long BURST = 20;

    private final BufferedWriter log;
    private final AtomicLong acked = new AtomicLong();
    private final AtomicLong failed = new AtomicLong();

    private AckedProducer(Path log) throws IOException {
        this.log = Files.newBufferedWriter(log);
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 6) {
            throw new IllegalArgumentException(
                    "AckedProducer BOOTSTRAP TOPIC PARTITIONS CODEC[,CODEC...] RECORDS-A-SECOND LOG");
        }
        String[] codecs = arguments[3].split(",");
        List<Thread> threads = new ArrayList<>();
        for (String codec : codecs) {
            // One codec: as named. Several: each has a topic and a log with its name behind.
            String suffix = codecs.length == 1 ? "" : "-" + codec;
            Path log = Path.of(arguments[5] + suffix);
            Path stop = Path.of(arguments[5] + ".stop");
            AckedProducer run = new AckedProducer(log);
            threads.add(new Thread(() -> run.run(arguments, codec, arguments[1] + suffix, stop)));
        }
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
    }

    private void run(String[] arguments, String codec, String topic, Path stop) {
        int partitions = Integer.parseInt(arguments[2]);
        Thread flusher = new Thread(this::flushForEver);
        flusher.setDaemon(true);
        flusher.start();
        try {
            create(arguments[0], topic, partitions);
            try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(
                    settings(arguments[0], codec), new ByteArraySerializer(), new ByteArraySerializer())) {
                sendUntilStopped(producer, topic, partitions, Long.parseLong(arguments[4]), stop);
            }
            flush();
        } catch (Exception cannotGoOn) {
            cannotGoOn.printStackTrace();
            Runtime.getRuntime().halt(4);
        }
        System.out.printf("%s: %d acknowledged, %d failed%n", topic, acked.get(), failed.get());
    }

    private static void create(String bootstrap, String topic, int partitions) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        try (Admin admin = Admin.create(settings)) {
            if (!admin.listTopics().names().get().contains(topic)) {
                NewTopic made = new NewTopic(topic, partitions, (short) 1)
                        .configs(Map.of("segment.bytes", SEGMENT_BYTES));
                admin.createTopics(List.of(made)).all().get();
            }
        }
    }

    private static Properties settings(String bootstrap, String codec) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("enable.idempotence", "true");
        settings.put("acks", "all");
        settings.put("compression.type", codec);
        settings.put("linger.ms", "2");
        // Never given up while a run lasts: what is not acknowledged is sent again.
        settings.put("delivery.timeout.ms", "1200000");
        settings.put("request.timeout.ms", "15000");
        settings.put("max.block.ms", "600000");
        settings.put("retry.backoff.ms", "20");
        settings.put("reconnect.backoff.ms", "20");
        settings.put("reconnect.backoff.max.ms", "100");
        return settings;
    }

    private void sendUntilStopped(
            KafkaProducer<byte[], byte[]> producer, String topic, int partitions, long rate, Path stop)
            throws Exception {
        long due = System.nanoTime();
        for (long sent = 0; ; sent++) {
            int partition = (int) (sent % partitions);
            long number = sent / partitions;
            producer.send(
                    new ProducerRecord<>(topic, partition, null, NumberedRecord.value(partition, number)),
                    (answer, failure) -> onAnswer(partition, number, answer, failure));
            if (sent % BURST == 0) {
                // What was missed while the broker was away is not made up for.
                due = Math.max(due + BURST * 1_000_000_000L / rate, System.nanoTime() - 50_000_000L);
                Thread.sleep(Math.max(0, due - System.nanoTime()) / 1_000_000L);
                if (Files.exists(stop)) {
                    return;
                }
            }
        }
    }

    /** On the producer's own thread. */
    private synchronized void onAnswer(int partition, long number, RecordMetadata answer, Exception failure) {
        try {
            if (failure == null) {
                acked.incrementAndGet();
                log.write(partition + " " + answer.offset() + " " + number + "\n");
            } else {
                failed.incrementAndGet();
                log.write("failed " + partition + " " + number + " " + failure + "\n");
            }
        } catch (IOException cannotLog) {
            cannotLog.printStackTrace();
            Runtime.getRuntime().halt(3);
        }
    }

    /** A send may wait as long as the broker is away: what it had said before is to be in the file meanwhile. */
    private void flushForEver() {
        try {
            for (;;) {
                flush();
                Thread.sleep(20);
            }
        } catch (IOException | InterruptedException cannotLog) {
            cannotLog.printStackTrace();
            Runtime.getRuntime().halt(3);
        }
    }

    private synchronized void flush() throws IOException {
        log.flush();
    }
}
