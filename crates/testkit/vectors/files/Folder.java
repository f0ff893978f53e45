// SPDX-License-Identifier: Apache-2.0
//
// Fills the log directory of a node of Apache Kafka whose files are kept as `apache-4.3.1.hex`: topics with several
// segments, an idempotent producer, transactions that commit, abort, and stay open, compressed batches, a compacted
// topic, records that were deleted. The node is stopped after it, and `Folder.java pack` prints its folder.
//
//   kafka start --set offsets.topic.num.partitions=1 --set transaction.state.log.num.partitions=1
//   java -cp "$CP" Folder.java fill 127.0.0.1:19092
//   kafka stop
//   java -cp "$CP" Folder.java pack <log.dirs> > apache-4.3.1.hex

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.StringSerializer;

public class Folder {
    /** Milliseconds of the first record; each is a second later than the one before. */
    static final long FIRST = 1_700_000_000_000L;

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "fill" -> fill(args[1]);
            case "pack" -> pack(Path.of(args[1]));
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    static void fill(String bootstrap) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            // Index files with room for a few entries roll segments of a few hundred bytes.
            Map<String, String> small = Map.of("index.interval.bytes", "100", "segment.index.bytes", "60");
            admin.createTopics(List.of(
                new NewTopic("idempotent", 1, (short) 1).configs(small),
                new NewTopic("transactions", 1, (short) 1).configs(small),
                new NewTopic("compact", 1, (short) 1).configs(Map.of("cleanup.policy", "compact")),
                new NewTopic("deleted", 1, (short) 1).configs(small),
                new NewTopic("empty", 2, (short) 1))).all().get();
            idempotent(bootstrap);
            transactions(bootstrap);
            plain(bootstrap, "compact", 6, "zstd");
            plain(bootstrap, "deleted", 24, "none");
            var before = Map.of(new TopicPartition("deleted", 0), RecordsToDelete.beforeOffset(13));
            admin.deleteRecords(before).all().get();
        }
    }

    static KafkaProducer<String, String> producer(String bootstrap, Map<String, String> more) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("linger.ms", "0");
        properties.putAll(more);
        return new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
    }

    static ProducerRecord<String, String> record(String topic, int n) {
        var headers = n % 5 == 0 ? List.<org.apache.kafka.common.header.Header>of(new RecordHeader("n", new byte[] {(byte) n})) : null;
        return new ProducerRecord<>(topic, 0, FIRST + n * 1000L, n % 3 == 0 ? null : "key-" + n % 4, "value-" + n, headers);
    }

    /** One batch for each record, and two of several: compressed. */
    static void idempotent(String bootstrap) throws Exception {
        try (var producer = producer(bootstrap, Map.of())) {
            for (int n = 0; n < 20; n++) {
                producer.send(record("idempotent", n)).get();
            }
        }
        var batching = Map.of("linger.ms", "1000", "compression.type", "lz4");
        try (var producer = producer(bootstrap, batching)) {
            for (int n = 20; n < 30; n++) {
                producer.send(record("idempotent", n));
            }
        }
    }

    /** Interleaved: `one` aborts and commits by turns, `two` leaves its last transaction open. */
    static void transactions(String bootstrap) throws Exception {
        var one = producer(bootstrap, Map.of("transactional.id", "one"));
        var two = producer(bootstrap, Map.of("transactional.id", "two"));
        one.initTransactions();
        two.initTransactions();
        int n = 0;
        for (int turn = 0; turn < 4; turn++) {
            one.beginTransaction();
            two.beginTransaction();
            one.send(record("transactions", n++)).get();
            two.send(record("transactions", n++)).get();
            one.send(record("transactions", n++)).get();
            if (turn % 2 == 0) {
                one.abortTransaction();
            } else {
                one.commitTransaction();
            }
            two.send(record("transactions", n++)).get();
            if (turn == 3) {
                break;
            }
            if (turn == 1) {
                two.abortTransaction();
            } else {
                two.commitTransaction();
            }
        }
        one.close();
        // Its transaction stays open: the process ends without a word.
    }

    static void plain(String bootstrap, String topic, int records, String compression) throws Exception {
        var properties = Map.of("enable.idempotence", "false", "compression.type", compression);
        try (var producer = producer(bootstrap, properties)) {
            for (int n = 0; n < records; n++) {
                producer.send(new ProducerRecord<>(topic, 0, FIRST + n * 1000L, "key-" + n % 4, "value-" + n)).get();
            }
        }
    }

    static void pack(Path folder) throws IOException {
        System.out.println("# The log directory of a node of Apache Kafka 4.3.1 after a clean stop. Made by Folder.java.");
        try (Stream<Path> paths = Files.walk(folder)) {
            for (Path path : paths.filter(Files::isRegularFile).sorted().toList()) {
                String hex = HexFormat.of().formatHex(Files.readAllBytes(path));
                System.out.println(folder.relativize(path) + " " + (hex.isEmpty() ? "-" : hex));
            }
        }
        System.exit(0);
    }
}
