import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The calls of Kafka's admin client that one node has an answer to. */
final class AdminCalls {
    private static final int RECORDS = 100;
    /** Some minutes ago: older records could fall to retention while they are looked at. */
    private static final long FIRST_TIMESTAMP_MS = System.currentTimeMillis() - 600_000;

    private final String bootstrap;
    private final String topic;
    private final String group;
    private final TopicPartition first;
    private Admin admin;

    AdminCalls(Map<String, String> options) {
        bootstrap = options.get("bootstrap");
        topic = options.get("prefix") + "-topic";
        group = options.get("prefix") + "-group";
        first = new TopicPartition(topic, 0);
    }

    static void run(Map<String, String> options) throws Exception {
        new AdminCalls(options).run();
    }

    private void run() throws Exception {
        try (Admin made = Admin.create(settings())) {
            admin = made;
            topics();
            partitions();
            configs();
            produce();
            groups();
            liveGroup("classic");
            liveGroup("consumer");
            records();
            cluster();
            admin.deleteTopics(List.of(topic)).all().get();
            until("delete topics", () -> !admin.listTopics().names().get().contains(topic));
        }
    }

    private Properties settings() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        return settings;
    }

    private void topics() throws Exception {
        NewTopic wanted = new NewTopic(topic, 3, (short) 1).configs(Map.of("retention.ms", "86400000"));
        admin.createTopics(List.of(wanted)).all().get();
        until("create and list topics", () -> admin.listTopics().names().get().contains(topic));
        TopicDescription found = describe();
        expect("describe topics", found.partitions().size() == 3 && found.partitions().get(2).leader() != null, found);
        refused("create a topic twice", "TopicExistsException", admin.createTopics(List.of(wanted)).all());
        refused("describe an unknown topic", "UnknownTopicOrPartitionException",
                admin.describeTopics(List.of(topic + "-not")).allTopicNames());
    }

    private TopicDescription describe() throws Exception {
        return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
    }

    private void partitions() throws Exception {
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
        until("create partitions", () -> describe().partitions().size() == 5);
        refused("create fewer partitions", "InvalidPartitionsException",
                admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all());
    }

    private void configs() throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        expect("describe configs", value(resource, "retention.ms").equals("86400000"), "another retention.ms");
        alter(resource, "retention.ms", "3600000", AlterConfigOp.OpType.SET);
        until("alter configs", () -> value(resource, "retention.ms").equals("3600000"));
        alter(resource, "retention.ms", null, AlterConfigOp.OpType.DELETE);
        until("delete a config", () -> value(resource, "retention.ms").equals("604800000"));
        refused("alter an unknown config", "InvalidConfigurationException",
                altered(resource, "no.such.thing", "1", AlterConfigOp.OpType.SET));
        String node = admin.describeCluster().nodes().get().iterator().next().idString();
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, node);
        expect("describe a broker's configs", value(broker, "node.id").equals(node), "another node.id");
        ConfigResource limits = new ConfigResource(ConfigResource.Type.GROUP, group);
        alter(limits, "consumer.session.timeout.ms", "50000", AlterConfigOp.OpType.SET);
        until("alter a group's configs", () -> value(limits, "consumer.session.timeout.ms").equals("50000"));
        alter(limits, "consumer.session.timeout.ms", null, AlterConfigOp.OpType.DELETE);
    }

    private KafkaFuture<Void> altered(ConfigResource resource, String name, String value, AlterConfigOp.OpType how) {
        Collection<AlterConfigOp> one = List.of(new AlterConfigOp(new ConfigEntry(name, value), how));
        return admin.incrementalAlterConfigs(Map.of(resource, one)).all();
    }

    private void alter(ConfigResource resource, String name, String value, AlterConfigOp.OpType how) throws Exception {
        altered(resource, name, value, how).get();
    }

    private String value(ConfigResource resource, String name) throws Exception {
        Config config = admin.describeConfigs(List.of(resource)).all().get().get(resource);
        ConfigEntry entry = config.get(name);
        return entry == null ? "" : entry.value();
    }

    private void produce() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(settings(), new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int i = 0; i < RECORDS; i++) {
                producer.send(new ProducerRecord<>(topic, 0, FIRST_TIMESTAMP_MS + i, null, new byte[10]));
            }
        }
    }

    /** A group without members: offsets only. */
    private void groups() throws Exception {
        admin.alterConsumerGroupOffsets(group, Map.of(first, new OffsetAndMetadata(42, "word"))).all().get();
        expect("alter and list offsets", committed().equals(new OffsetAndMetadata(42, "word")), committed());
        Collection<GroupListing> all = admin.listGroups().all().get();
        expect("list groups", all.stream().anyMatch(one -> one.groupId().equals(group)), all);
        Collection<GroupListing> stable =
                admin.listGroups(new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE))).all().get();
        expect("list groups of a state", stable.stream().noneMatch(one -> one.groupId().equals(group)), stable);
        ConsumerGroupDescription description = describeGroup();
        expect("describe an empty group", description.groupState() == GroupState.EMPTY, description);
        admin.deleteConsumerGroupOffsets(group, Set.of(first)).all().get();
        expect("delete offsets", committed() == null, committed());
        admin.alterConsumerGroupOffsets(group, Map.of(first, new OffsetAndMetadata(1))).all().get();
        admin.deleteConsumerGroups(List.of(group)).all().get();
        refused("delete groups", "GroupIdNotFoundException", admin.describeConsumerGroups(List.of(group)).all());
        refused("delete an unknown group", "GroupIdNotFoundException",
                admin.deleteConsumerGroups(List.of(group + "-not")).all());
    }

    private ConsumerGroupDescription describeGroup() throws Exception {
        return admin.describeConsumerGroups(List.of(group)).all().get().get(group);
    }

    private OffsetAndMetadata committed() throws Exception {
        Map<String, ListConsumerGroupOffsetsSpec> wanted = Map.of(group, new ListConsumerGroupOffsetsSpec());
        return admin.listConsumerGroupOffsets(wanted).all().get().get(group).get(first);
    }

    /** With a member: what must be refused while it is there, and what describes it. */
    private void liveGroup(String protocol) throws Exception {
        Properties settings = settings();
        settings.put("group.id", group);
        settings.put("client.id", "the-member");
        settings.put("group.protocol", protocol);
        settings.put("enable.auto.commit", "false");
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(topic));
            for (int i = 0; i < 100 && consumer.assignment().size() < 5; i++) {
                consumer.poll(java.time.Duration.ofMillis(100));
            }
            ConsumerGroupDescription found = describeGroup();
            expect("describe a " + protocol + " group", found.groupState() == GroupState.STABLE
                    && found.members().size() == 1
                    && found.members().iterator().next().clientId().equals("the-member")
                    && found.members().iterator().next().assignment().topicPartitions().size() == 5
                    && found.coordinator().port() > 0, found);
            refused("delete a " + protocol + " group with members", "GroupNotEmptyException",
                    admin.deleteConsumerGroups(List.of(group)).all());
            consumer.commitSync(Map.of(first, new OffsetAndMetadata(7)));
            refused("delete a subscribed offset of a " + protocol + " group", "GroupSubscribedToTopicException",
                    admin.deleteConsumerGroupOffsets(group, Set.of(first)).all());
            refused("alter offsets of a " + protocol + " group with members", "UnknownMemberIdException",
                    admin.alterConsumerGroupOffsets(group, Map.of(first, new OffsetAndMetadata(1))).all());
        }
        expect("offsets outlive the member of a " + protocol + " group", committed().offset() == 7, committed());
        admin.deleteConsumerGroups(List.of(group)).all().get();
    }

    private void records() throws Exception {
        expect("list offsets: latest", offset(OffsetSpec.latest()) == RECORDS, "another end");
        expect("list offsets: by time", offset(OffsetSpec.forTimestamp(FIRST_TIMESTAMP_MS + 10)) == 10, "another offset");
        expect("list offsets: max timestamp", offset(OffsetSpec.maxTimestamp()) == RECORDS - 1, "another offset");
        long low = admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(30))).lowWatermarks().get(first).get()
                .lowWatermark();
        expect("delete records", low == 30, low);
        expect("list offsets: earliest", offset(OffsetSpec.earliest()) == 30, "another start");
        refused("delete records beyond the end", "OffsetOutOfRangeException",
                admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(RECORDS + 1))).all());
    }

    private long offset(OffsetSpec which) throws Exception {
        return admin.listOffsets(Map.of(first, which)).all().get().get(first).offset();
    }

    private void cluster() throws Exception {
        int nodes = admin.describeCluster().nodes().get().size();
        expect("describe the cluster", nodes == 1, nodes);
        Map<?, ?> folders = admin.describeLogDirs(List.of(1)).allDescriptions().get();
        expect("describe log directories", !((Map<?, ?>) folders.get(1)).isEmpty(), folders);
        Map<?, ?> features = admin.describeFeatures().featureMetadata().get().finalizedFeatures();
        expect("describe features", features.containsKey("metadata.version"), features);
        Map<?, ?> moves = admin.listPartitionReassignments().reassignments().get();
        expect("list reassignments", moves.isEmpty(), moves);
        Object states = admin.describeProducers(Collections.singleton(first)).all().get().get(first);
        expect("describe producers", states != null, states);
    }

    private static void refused(String call, String exception, KafkaFuture<?> answer) throws Exception {
        try {
            answer.get();
        } catch (ExecutionException why) {
            String name = why.getCause().getClass().getSimpleName();
            expect(call, name.equals(exception), why.getCause());
            return;
        }
        throw new AssertionError(call + ": not refused");
    }

    /** For what a broker may do a moment after it has answered. */
    private static void until(String call, Question question) throws Exception {
        for (int i = 0; i < 100; i++) {
            try {
                if (question.ask()) {
                    expect(call, true, null);
                    return;
                }
            } catch (ExecutionException notYet) {
                // Asked again.
            }
            Thread.sleep(50);
        }
        expect(call, false, "nothing for five seconds");
    }

    private interface Question {
        boolean ask() throws Exception;
    }

    private static void expect(String call, boolean held, Object got) {
        if (!held) {
            throw new AssertionError(call + ": got " + got);
        }
        GroupClient.say("passed", "\"call\": " + GroupClient.quoted(call));
    }
}
