// SPDX-License-Identifier: Apache-2.0
//
// Golden vectors: record batches as Apache Kafka's own classes build them, in FOLDER/batches/RecordBatch.hex, and
// sets of messages of the formats before 0.11 in FOLDER/batches/MessageSet.hex.
// `cargo xtask vectors` runs it.
//
//   java -cp <Apache Kafka's jars> Batches.java FOLDER

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.KRaftVersionRecord;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.message.SnapshotFooterRecord;
import org.apache.kafka.common.message.SnapshotHeaderRecord;
import org.apache.kafka.common.message.VotersRecord;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.utils.AppInfoParser;
import org.apache.kafka.common.utils.Utils;

import java.io.PrintWriter;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;

public class Batches {
    static final JsonMapper JSON = new JsonMapper();
    static final long TIME = 1_700_000_000_000L;
    static final byte MAGIC = RecordBatch.CURRENT_MAGIC_VALUE;

    public static void main(String[] args) throws Exception {
        Path folder = Files.createDirectories(Path.of(args[0], "batches"));
        try (PrintWriter out = new PrintWriter(Files.newBufferedWriter(folder.resolve("RecordBatch.hex")))) {
            out.println("# Record batches as Apache Kafka " + AppInfoParser.getVersion() + " builds them."
                + " Made by `cargo xtask vectors`, not by hand.");
            for (CompressionType codec : CompressionType.values()) {
                Compression compression = Compression.of(codec).build();
                told(out, codec.name, MemoryRecords.withRecords(7L, compression, 3, few()));
                // Long enough for several blocks of snappy (32 KiB) and of lz4 (64 KiB).
                if (codec != CompressionType.NONE)
                    line(out, codec.name + "_many", MemoryRecords.withRecords(0L, compression, many(800)));
            }
            told(out, "without_leader", MemoryRecords.withRecords(Compression.NONE, few()));
            told(out, "idempotent", MemoryRecords.withIdempotentRecords(Compression.NONE, 4_711L, (short) 3, 17, few()));
            told(out, "last_sequence",
                MemoryRecords.withIdempotentRecords(Compression.NONE, 4_711L, (short) 3, Integer.MAX_VALUE, few()));
            told(out, "transactional",
                MemoryRecords.withTransactionalRecords(100L, Compression.NONE, 4_711L, (short) 3, 17, 5, few()));
            told(out, "append_time", appendTime());
            told(out, "without_timestamps", MemoryRecords.withRecords(Compression.NONE,
                new SimpleRecord(RecordBatch.NO_TIMESTAMP, null, "v".getBytes(StandardCharsets.UTF_8))));
            control(out);
        }
        try (PrintWriter out = new PrintWriter(Files.newBufferedWriter(folder.resolve("MessageSet.hex")))) {
            out.println("# Message sets as Apache Kafka " + AppInfoParser.getVersion() + " builds them."
                + " Made by `cargo xtask vectors`, not by hand.");
            for (byte magic : new byte[] {RecordBatch.MAGIC_VALUE_V0, RecordBatch.MAGIC_VALUE_V1}) {
                for (CompressionType codec : CompressionType.values()) {
                    if (codec == CompressionType.ZSTD) continue;
                    set(out, magic, codec.name, Compression.of(codec).build(), TimestampType.CREATE_TIME);
                    if (magic == RecordBatch.MAGIC_VALUE_V1)
                        set(out, magic, codec.name + "_append_time", Compression.of(codec).build(), TimestampType.LOG_APPEND_TIME);
                }
            }
        }
    }

    static void set(PrintWriter out, byte magic, String name, Compression compression, TimestampType type) {
        MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(10_000), magic, compression, type, 7L,
            type == TimestampType.LOG_APPEND_TIME ? TIME + 9 : RecordBatch.NO_TIMESTAMP);
        for (SimpleRecord record : few())
            builder.append(record.timestamp(), record.key(), record.value());
        out.println("v" + magic + " " + name + " " + HexFormat.of().formatHex(Utils.toArray(builder.build().buffer())));
    }

    static SimpleRecord[] few() {
        byte[] key = {'k'};
        byte[] value = {0, (byte) 0xff, 'v'};
        Header[] headers = {
            new RecordHeader("twice", new byte[] {1}), new RecordHeader("twice", new byte[0]),
            new RecordHeader("", null), new RecordHeader("\u00e4\u20ac", new byte[] {2}),
        };
        return new SimpleRecord[] {
            new SimpleRecord(TIME, key, value, headers), new SimpleRecord(TIME + 5, null, value),
            new SimpleRecord(TIME - 5, key, (byte[]) null), new SimpleRecord(TIME + 1, new byte[0], new byte[0]),
            new SimpleRecord(TIME + 100_000_000_000L, null, "x".repeat(200).getBytes(StandardCharsets.UTF_8)),
        };
    }

    static SimpleRecord[] many(int count) {
        SimpleRecord[] records = new SimpleRecord[count];
        for (int i = 0; i < count; i++)
            records[i] = new SimpleRecord(TIME + i, null, ("record " + i + " ").repeat(12).getBytes(StandardCharsets.UTF_8));
        return records;
    }

    static MemoryRecords appendTime() {
        MemoryRecords records = MemoryRecords.withRecords(Compression.NONE, few());
        for (MutableRecordBatch batch : records.batches()) batch.setMaxTimestamp(TimestampType.LOG_APPEND_TIME, TIME + 9);
        return records;
    }

    static void control(PrintWriter out) {
        for (ControlRecordType type : new ControlRecordType[] {ControlRecordType.COMMIT, ControlRecordType.ABORT})
            told(out, type.name().toLowerCase(), MemoryRecords.withEndTransactionMarker(
                42L, TIME, 5, 4_711L, (short) 3, new EndTransactionMarker(type, 9)));
        ByteBuffer room = ByteBuffer.allocate(1_000);
        told(out, "leader_change", MemoryRecords.withLeaderChangeMessage(1L, TIME, 2, room.duplicate(),
            new LeaderChangeMessage().setLeaderId(1)));
        told(out, "snapshot_header", MemoryRecords.withSnapshotHeaderRecord(1L, TIME, 2, ByteBuffer.allocate(1_000),
            new SnapshotHeaderRecord().setLastContainedLogTimestamp(TIME)));
        told(out, "snapshot_footer", MemoryRecords.withSnapshotFooterRecord(1L, TIME, 2, ByteBuffer.allocate(1_000),
            new SnapshotFooterRecord()));
        told(out, "kraft_version", MemoryRecords.withKRaftVersionRecord(1L, TIME, 2, ByteBuffer.allocate(1_000),
            new KRaftVersionRecord().setKRaftVersion((short) 1)));
        told(out, "voters", MemoryRecords.withVotersRecord(1L, TIME, 2, ByteBuffer.allocate(1_000), new VotersRecord()));
    }

    static void line(PrintWriter out, String name, MemoryRecords records) {
        out.println("v" + MAGIC + " " + name + " " + HexFormat.of().formatHex(Utils.toArray(records.buffer())));
    }

    static void told(PrintWriter out, String name, MemoryRecords records) {
        line(out, name, records);
        for (MutableRecordBatch batch : records.batches()) out.println("= " + json(batch));
    }

    static ObjectNode json(RecordBatch batch) {
        ObjectNode node = JSON.createObjectNode();
        node.put("baseOffset", batch.baseOffset()).put("lastOffset", batch.lastOffset()).put("size", batch.sizeInBytes())
            .put("leaderEpoch", batch.partitionLeaderEpoch()).put("maxTimestamp", batch.maxTimestamp())
            .put("producerId", batch.producerId()).put("producerEpoch", batch.producerEpoch())
            .put("baseSequence", batch.baseSequence()).put("lastSequence", batch.lastSequence())
            .put("transactional", batch.isTransactional()).put("control", batch.isControlBatch())
            .put("compression", batch.compressionType().name);
        ArrayNode records = node.putArray("records");
        for (Record record : batch) records.add(json(record));
        return node;
    }

    static ObjectNode json(Record record) {
        ObjectNode node = JSON.createObjectNode();
        node.put("offset", record.offset()).put("timestamp", record.timestamp());
        node.put("key", bytes(record.key())).put("value", bytes(record.value()));
        ArrayNode headers = node.putArray("headers");
        for (Header header : record.headers())
            headers.addObject().put("key", header.key().getBytes(StandardCharsets.UTF_8)).put("value", header.value());
        return node;
    }

    static byte[] bytes(ByteBuffer buffer) {
        return buffer == null ? null : Arrays.copyOf(Utils.toArray(buffer), buffer.remaining());
    }
}
