import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The calls that Kafka's admin client knew in 2.1, as every release before 4.0 still has them. */
final class OldAdminCalls {
    private static final long FIRST_TIMESTAMP_MS = System.currentTimeMillis() - 600_000;

    private final Properties settings = new Properties();
    private final String topic;
    private final String group;
    private final TopicPartition first;
    private final AdminClient admin;

    private OldAdminCalls(Map<String, String> options) {
        settings.put("bootstrap.servers", options.get("bootstrap"));
        topic = options.get("prefix") + "-topic";
        group = options.get("prefix") + "-group";
        first = new TopicPartition(topic, 0);
        admin = AdminClient.create(settings);
    }

    static void run(Map<String, String> options) throws Exception {
        OldAdminCalls calls = new OldAdminCalls(options);
        calls.topics();
        calls.configs();
        calls.records();
        calls.liveGroup();
        int nodes = calls.admin.describeCluster().nodes().get().size();
        expect("describe the cluster", nodes == 1, nodes);
        calls.admin.deleteTopics(List.of(calls.topic)).all().get();
        until("delete topics", () -> !calls.admin.listTopics().names().get().contains(calls.topic));
    }

    private int partitions() throws Exception {
        return admin.describeTopics(List.of(topic)).all().get().get(topic).partitions().size();
    }

    private void topics() throws Exception {
        NewTopic wanted = new NewTopic(topic, 3, (short) 1).configs(Map.of("retention.ms", "86400000"));
        admin.createTopics(List.of(wanted)).all().get();
        until("create and list topics", () -> admin.listTopics().names().get().contains(topic));
        refused("create a topic twice", "TopicExistsException", () -> admin.createTopics(List.of(wanted)).all().get());
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
        until("create and describe partitions", () -> partitions() == 5);
    }

    private String value(String name) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        return admin.describeConfigs(List.of(resource)).all().get().get(resource).get(name).value();
    }

    @SuppressWarnings("deprecation")
    private void configs() throws Exception {
        expect("describe configs", value("retention.ms").equals("86400000"), "another retention.ms");
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Config wanted = new Config(Collections.singleton(new ConfigEntry("segment.ms", "3600000")));
        admin.alterConfigs(Map.of(resource, wanted)).all().get();
        until("replace configs",
                () -> value("segment.ms").equals("3600000") && value("retention.ms").equals("604800000"));
    }

    private KafkaConsumer<byte[], byte[]> consumer() {
        Properties all = new Properties();
        all.putAll(settings);
        all.put("group.id", group);
        all.put("client.id", "the-member");
        all.put("enable.auto.commit", "false");
        return new KafkaConsumer<>(all, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private void records() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int i = 0; i < 100; i++) {
                producer.send(new ProducerRecord<>(topic, 0, FIRST_TIMESTAMP_MS + i, null, new byte[10]));
            }
        }
        admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(30))).all().get();
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            long start = consumer.beginningOffsets(List.of(first)).get(first);
            expect("delete records and list offsets: earliest", start == 30, start);
            long end = consumer.endOffsets(List.of(first)).get(first);
            expect("list offsets: latest", end == 100, end);
            long timed = consumer.offsetsForTimes(Map.of(first, FIRST_TIMESTAMP_MS + 40)).get(first).offset();
            expect("list offsets: by time", timed == 40, timed);
        }
    }

    private List<String> groups() throws Exception {
        return admin.listConsumerGroups().all().get().stream().map(one -> one.groupId()).collect(Collectors.toList());
    }

    private OffsetAndMetadata committed() throws Exception {
        return admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(first);
    }

    private void liveGroup() throws Exception {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            consumer.subscribe(List.of(topic));
            for (int i = 0; i < 100 && consumer.assignment().size() < 5; i++) {
                consumer.poll(java.time.Duration.ofMillis(100));
            }
            ConsumerGroupDescription found = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
            expect("describe a group", found.state().toString().equals("Stable") && found.members().size() == 1, found);
            refused("delete a group with members", "GroupNotEmptyException",
                    () -> admin.deleteConsumerGroups(List.of(group)).all().get());
            consumer.commitSync(Map.of(first, new OffsetAndMetadata(42)));
        }
        expect("list groups", groups().contains(group), groups());
        expect("offsets outlive the member", committed().offset() == 42, committed());
        admin.deleteConsumerGroups(List.of(group)).all().get();
        expect("delete groups", !groups().contains(group), groups());
    }

    private static void refused(String call, String exception, Callable<?> question) throws Exception {
        try {
            question.call();
        } catch (ExecutionException why) {
            String name = why.getCause().getClass().getSimpleName();
            expect(call, name.equals(exception), why.getCause());
            return;
        }
        throw new AssertionError(call + ": not refused");
    }

    /** For what a broker may do a moment after it has answered. */
    private static void until(String call, Callable<Boolean> question) throws Exception {
        for (int i = 0; i < 100 && !question.call(); i++) {
            Thread.sleep(50);
        }
        expect(call, question.call(), "nothing for five seconds");
    }

    private static void expect(String call, boolean held, Object got) {
        if (!held) {
            throw new AssertionError(call + ": got " + got);
        }
        GroupClient.say("passed", "\"call\": " + GroupClient.quoted(call));
    }
}
