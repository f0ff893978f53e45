// SPDX-License-Identifier: Apache-2.0
//
// Golden vectors: messages that Apache Kafka's own classes wrote, one file per message, called <Message>.hex.
// `cargo xtask vectors` runs it. Values come from a seeded generator, so that a second run writes the same bytes.
//
//   java -cp <Apache Kafka's jars> Encode.java FOLDER [--append RELEASE MESSAGE@VERSION...]
//
// A file is a list of lines `v<version> <variant> <hex>`, some followed by `= <what Apache says it means, as JSON>`.
// With --append only the named versions are written, after what the file already holds: for versions that only a
// newer release knows.

import com.fasterxml.jackson.databind.JsonNode;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.Writable;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.utils.AppInfoParser;

import java.io.PrintWriter;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

public class Encode {
    static final String WIRE = "org.apache.kafka.common.message.";
    static final String METADATA = "org.apache.kafka.common.metadata.";

    /** The requests that a node of today's Ottla serves; each has a response. */
    static final String[] APIS = {
        "AlterConfigs", "ApiVersions", "ConsumerGroupDescribe", "ConsumerGroupHeartbeat", "CreatePartitions",
        "CreateTopics", "DeleteGroups", "DeleteRecords", "DeleteTopics", "DescribeAcls", "DescribeClientQuotas", "DescribeCluster",
        "DescribeConfigs", "DescribeGroups", "DescribeLogDirs", "DescribeProducers", "DescribeQuorum",
        "DescribeTopicPartitions", "DescribeUserScramCredentials", "ElectLeaders", "Fetch", "FindCoordinator",
        "Heartbeat", "IncrementalAlterConfigs", "InitProducerId", "JoinGroup", "LeaveGroup", "ListConfigResources",
        "ListGroups", "ListOffsets", "ListPartitionReassignments", "Metadata", "OffsetCommit", "OffsetDelete",
        "OffsetFetch", "OffsetForLeaderEpoch", "Produce", "SyncGroup", "UpdateFeatures",
    };
    static final String[] HEADERS = {"RequestHeader", "ResponseHeader"};
    /** What stands in control records of the metadata log, and at a transaction's end in any log. */
    static final String[] CONTROL = {
        "EndTxnMarker", "KRaftVersionRecord", "LeaderChangeMessage", "SnapshotFooterRecord", "SnapshotHeaderRecord",
        "VotersRecord",
    };

    /** What a group coordinator keeps in its log, and what consumers put into it. */
    static final String GROUPS = "org.apache.kafka.coordinator.group.generated.";
    static final String[] GROUP_RECORDS = {
        "ConsumerGroupCurrentMemberAssignment", "ConsumerGroupMemberMetadata", "ConsumerGroupMetadata",
        "ConsumerGroupPartitionMetadata", "ConsumerGroupRegularExpression", "ConsumerGroupTargetAssignmentMember",
        "ConsumerGroupTargetAssignmentMetadata", "GroupMetadata", "OffsetCommit",
    };
    static final String[] CONSUMER_PROTOCOL = {"ConsumerProtocolAssignment", "ConsumerProtocolSubscription"};

    public static void main(String[] args) throws Exception {
        Path folder = Path.of(args[0]);
        if (args.length > 1) {
            for (String named : Arrays.copyOfRange(args, 3, args.length)) {
                String[] parts = named.split("@");
                append(folder, args[2], parts[0], Short.parseShort(parts[1]));
            }
            return;
        }
        for (String api : APIS) {
            write(folder, WIRE, api + "Request", "Data");
            write(folder, WIRE, api + "Response", "Data");
        }
        for (String header : HEADERS) write(folder, WIRE, header, "Data");
        for (String control : CONTROL) write(folder, WIRE, control, "");
        for (String record : GROUP_RECORDS) {
            write(folder, GROUPS, record + "Key", "");
            write(folder, GROUPS, record + "Value", "");
        }
        for (String blob : CONSUMER_PROTOCOL) write(folder, WIRE, blob, "");
        Object[] types = Class.forName(METADATA + "MetadataRecordType").getEnumConstants();
        for (Object type : types) write(folder, METADATA, recordClass(type), "");
        frames(folder, types);
    }

    /** The records of the metadata log as they are stored: with the frame that says which record it is. */
    static void frames(Path folder, Object[] types) throws Exception {
        Class<?> versioned = Class.forName("org.apache.kafka.server.common.ApiMessageAndVersion");
        Class<?> serde = Class.forName("org.apache.kafka.metadata.MetadataRecordSerde");
        Method size = serde.getMethod("recordSize", versioned, ObjectSerializationCache.class);
        Method write = serde.getMethod("write", versioned, ObjectSerializationCache.class, Writable.class);
        try (PrintWriter out = new PrintWriter(Files.newBufferedWriter(folder.resolve("MetadataRecord.hex")))) {
            out.println("# Values of metadata records as Apache Kafka " + AppInfoParser.getVersion() + " stores them."
                + " Made by `cargo xtask vectors`, not by hand.");
            for (Object type : types) {
                Class<?> record = Class.forName(METADATA + recordClass(type));
                for (short v = constant(record, "LOWEST"); v <= constant(record, "HIGHEST"); v++) {
                    Object framed = versioned.getConstructor(ApiMessage.class, short.class)
                        .newInstance(filled(record, Variant.SET, v), v);
                    ObjectSerializationCache cache = new ObjectSerializationCache();
                    ByteBuffer bytes = ByteBuffer.allocate((int) size.invoke(serde.getField("INSTANCE").get(null), framed, cache));
                    write.invoke(serde.getField("INSTANCE").get(null), framed, cache, new ByteBufferAccessor(bytes));
                    out.println("v" + v + " " + record.getSimpleName() + " " + HexFormat.of().formatHex(bytes.array()));
                }
            }
        }
    }

    /** FENCE_BROKER_RECORD is the class FenceBrokerRecord. */
    static String recordClass(Object type) {
        StringBuilder name = new StringBuilder();
        for (String word : type.toString().split("_"))
            name.append(word.charAt(0)).append(word.substring(1).toLowerCase());
        return name.toString();
    }

    static void write(Path folder, String where, String name, String suffix) throws Exception {
        Class<?> type = Class.forName(where + name + suffix);
        try (PrintWriter out = new PrintWriter(Files.newBufferedWriter(folder.resolve(name + ".hex")))) {
            out.println("# " + name + " as Apache Kafka " + AppInfoParser.getVersion() + " writes it."
                + " Made by `cargo xtask vectors`, not by hand.");
            for (short v = constant(type, "LOWEST"); v <= constant(type, "HIGHEST"); v++) version(out, type, v);
        }
    }

    static void append(Path folder, String release, String name, short version) throws Exception {
        try (PrintWriter out = new PrintWriter(
                Files.newBufferedWriter(folder.resolve(name + ".hex"), StandardOpenOption.APPEND))) {
            out.println("# Version " + version + " as Apache Kafka " + release + " writes it.");
            version(out, Class.forName(WIRE + name + "Data"), version);
        }
    }

    static short constant(Class<?> type, String which) throws Exception {
        return type.getField(which + "_SUPPORTED_VERSION").getShort(null);
    }

    static void version(PrintWriter out, Class<?> type, short version) throws Exception {
        List<String> seen = new ArrayList<>();
        for (Variant variant : Variant.values()) {
            Message message = filled(type, variant, version);
            byte[] bytes = MessageUtil.byteBufferToArray(MessageUtil.toByteBufferAccessor(message, version).buffer());
            String hex = bytes.length == 0 ? "-" : HexFormat.of().formatHex(bytes);
            if (seen.contains(hex)) continue;
            seen.add(hex);
            out.println("v" + version + " " + variant.name().toLowerCase() + " " + hex);
            if (variant.told) out.println("= " + json(type, message, version));
        }
    }

    static Message filled(Class<?> type, Variant variant, short version) throws Exception {
        // Each message and version has its own seed: one that is added later changes no other file.
        Filler filler = new Filler(variant, new Random((type.getSimpleName() + variant).hashCode() * 31L + version));
        Message message = (Message) type.getConstructor().newInstance();
        if (variant != Variant.DEFAULTS) filler.fill(message, schema(type, version), version);
        return message;
    }

    static String json(Class<?> type, Message message, short version) throws Exception {
        Method write = Class.forName(type.getName() + "JsonConverter")
            .getMethod("write", type, short.class, boolean.class);
        return ((JsonNode) write.invoke(null, message, version, false)).toString();
    }

    static Schema schema(Class<?> type, short version) throws Exception {
        return ((Schema[]) type.getField("SCHEMAS").get(null))[version];
    }

    enum Variant {
        /** Nothing set. */
        DEFAULTS(false),
        /** Every field of the version set, tagged ones too, collections of two. */
        SET(true),
        /** What may be null is null, the rest empty or zero. */
        NULLS(true),
        /** Strings and bytes whose lengths need two bytes as varints, numbers at their limits, collections of three. */
        LARGE(false),
        /** As SET, with a tagged field that nobody knows in every struct. */
        UNKNOWN(false),
        /** Each field one or the other, by chance. */
        MIXED(true);

        /** Whether the JSON form follows. */
        final boolean told;

        Variant(boolean told) {
            this.told = told;
        }
    }

    /** Sets the fields of one message that exist in a version. */
    static final class Filler {
        final Variant variant;
        final Random random;

        Filler(Variant variant, Random random) {
            this.variant = variant;
            this.random = random;
        }

        void fill(Message message, Schema schema, short version) throws Exception {
            Map<String, Field> fields = new LinkedHashMap<>();
            for (Field field : message.getClass().getDeclaredFields()) fields.put(plain(field.getName()), field);
            for (BoundField bound : schema.fields()) {
                if (bound.def.type instanceof TaggedFields) {
                    for (var tagged : ((TaggedFields) bound.def.type).fields().values())
                        if (variant != Variant.MIXED || random.nextBoolean())
                            set(message, fields.get(plain(tagged.name)), tagged.type, version);
                    if (variant == Variant.UNKNOWN)
                        message.unknownTaggedFields().add(new RawTaggedField(1_000, new byte[] {1, 2, 3}));
                } else {
                    set(message, fields.get(plain(bound.def.name)), bound.def.type, version);
                }
            }
        }

        /** Schemas say `isr_nodes`, classes `isrNodes`. */
        static String plain(String name) {
            return name.replace("_", "").toLowerCase();
        }

        void set(Object target, Field field, Type type, short version) throws Exception {
            field.setAccessible(true);
            field.set(target, value(field, type, version));
        }

        Object value(Field field, Type type, short version) throws Exception {
            Class<?> java = field.getType();
            if (type.isNullable() && !java.isPrimitive() && becomesNull()) return null;
            if (type.isArray()) return collection(field, type, version);
            if (Message.class.isAssignableFrom(java)) return struct(java, version);
            return leaf(java, type);
        }

        boolean becomesNull() {
            return variant == Variant.NULLS || variant == Variant.MIXED && random.nextInt(3) == 0;
        }

        Message struct(Class<?> type, short version) throws Exception {
            Message message = (Message) type.getConstructor().newInstance();
            fill(message, schema(type, version), version);
            return message;
        }

        @SuppressWarnings("unchecked")
        Object collection(Field field, Type type, short version) throws Exception {
            Class<?> java = field.getType();
            boolean keyed = java.getName().endsWith("Collection");
            var elementType = ((ParameterizedType) (keyed ? java.getGenericSuperclass() : field.getGenericType()))
                .getActualTypeArguments()[0];
            var all = keyed ? (java.util.Collection<Object>) java.getConstructor().newInstance() : new ArrayList<>();
            for (int i = 0; i < count(); i++) {
                Class<?> element = (Class<?>) elementType;
                all.add(Message.class.isAssignableFrom(element)
                    ? struct(element, version) : leaf(element, type.arrayElementType().get()));
            }
            return all;
        }

        int count() {
            switch (variant) {
                case NULLS: return 0;
                case LARGE: return 3;
                case MIXED: return random.nextInt(3);
                default: return 2;
            }
        }

        Object leaf(Class<?> java, Type type) {
            if (java == String.class) return text();
            if (java == byte[].class) return bytes();
            if (java == ByteBuffer.class) return ByteBuffer.wrap(bytes());
            if (java == Uuid.class) return variant == Variant.NULLS ? Uuid.ZERO_UUID : uuid();
            if (java == boolean.class) return variant == Variant.MIXED ? random.nextBoolean() : variant != Variant.NULLS;
            if (java == double.class || java == Double.class) return variant == Variant.NULLS ? 0.0 : random.nextInt(1_000) / 8.0;
            if (java.getSimpleName().endsWith("Records")) return records(java);
            long number = number(type);
            if (java == byte.class || java == Byte.class) return (byte) number;
            if (java == short.class || java == Short.class) return (short) number;
            if (java == int.class || java == Integer.class) return (int) number;
            if (java == long.class || java == Long.class) return number;
            throw new IllegalArgumentException("no value for " + java);
        }

        long number(Type type) {
            long most = Long.MAX_VALUE;
            if (type == Type.INT8) most = Byte.MAX_VALUE;
            if (type == Type.INT16) most = Short.MAX_VALUE;
            if (type == Type.UINT16) most = 0xffff;
            if (type == Type.INT32) most = Integer.MAX_VALUE;
            if (type == Type.UNSIGNED_INT32) most = 0xffff_ffffL;
            boolean signed = type != Type.UINT16 && type != Type.UNSIGNED_INT32;
            switch (variant) {
                case NULLS: return 0;
                case LARGE: return signed && random.nextBoolean() ? -most - 1 : most;
                case MIXED: return signed && random.nextInt(4) == 0 ? -1 : random.nextInt(100);
                default: return 1 + (random.nextLong() & most) % (most - 1);
            }
        }

        String text() {
            if (variant == Variant.NULLS) return "";
            if (variant == Variant.LARGE) return "long-".repeat(26) + word();
            if (variant == Variant.MIXED && random.nextInt(3) == 0) return "\u00e4\u20ac-" + word();
            return word();
        }

        String word() {
            return "w" + Integer.toString(random.nextInt(1 << 20), 36);
        }

        byte[] bytes() {
            byte[] bytes = new byte[variant == Variant.NULLS ? 0 : variant == Variant.LARGE ? 200 : 5];
            random.nextBytes(bytes);
            return bytes;
        }

        Uuid uuid() {
            return new Uuid(random.nextLong(), random.nextLong());
        }

        /** Any bytes are records here: a message does not look inside. */
        Object records(Class<?> java) {
            try {
                Class<?> memory = Class.forName(java.getPackageName() + ".MemoryRecords");
                return memory.getMethod("readableRecords", ByteBuffer.class).invoke(null, ByteBuffer.wrap(bytes()));
            } catch (ReflectiveOperationException moved) {
                throw new IllegalStateException(moved);
            }
        }
    }
}
