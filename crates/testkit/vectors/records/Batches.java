// SPDX-License-Identifier: Apache-2.0
//
// Writes record batches through Apache Kafka's own classes, and judges series of idempotent appends by its own
// producer state, for the tests of `records` and `log`. Run it once per release of Apache Kafka that is to be matched:
//
//   javac -cp "$CP" -d "$OUT" Batches.java
//   java -cp "$OUT:$CP" org.apache.kafka.storage.internals.log.Batches batches   > batches.hex
//   java -cp "$OUT:$CP" org.apache.kafka.storage.internals.log.Batches producers > producers.txt

// Kafka's search for a duplicate can be called from its own package only.
package org.apache.kafka.storage.internals.log;

import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.OutOfOrderSequenceException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.utils.Time;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.Random;

public final class Batches {
    private static final long TIME = 1_700_000_000_000L;

    public static void main(String[] args) throws Exception {
        String version = org.apache.kafka.common.utils.AppInfoParser.getVersion();
        if (args[0].equals("batches")) {
            System.out.println("# Record batches as Apache Kafka " + version + " writes them. Made by Batches.java.");
            batches();
        } else {
            System.out.println("# Idempotent appends as Apache Kafka " + version + " judges them. Made by Batches.java.");
            System.out.println("# epoch, first sequence, records, outcome; a blank line begins with no producer state.");
            producers();
        }
    }

    private static void batches() {
        for (CompressionType type : CompressionType.values()) {
            Compression codec = Compression.of(type).build();
            print(type.name + " plain", builder(codec, TimestampType.CREATE_TIME, -1, (short) -1, -1, false), records());
            print(type.name + " idempotent", builder(codec, TimestampType.CREATE_TIME, 4_000, (short) 3, Integer.MAX_VALUE, false), records());
            print(type.name + " transactional", builder(codec, TimestampType.CREATE_TIME, 4_000, (short) 3, 7, true), records());
            print(type.name + " append-time", builder(codec, TimestampType.LOG_APPEND_TIME, -1, (short) -1, -1, false), records());
            if (type != CompressionType.NONE) {
                // Several blocks of every codec that has blocks.
                byte[] large = new byte[150_000];
                for (int at = 0; at < large.length; at++) large[at] = (byte) (at / 1000);
                print(type.name + " large", builder(codec, TimestampType.CREATE_TIME, -1, (short) -1, -1, false),
                    new SimpleRecord[] {new SimpleRecord(TIME, null, large)});
            }
        }
        for (ControlRecordType type : List.of(ControlRecordType.ABORT, ControlRecordType.COMMIT)) {
            MemoryRecords marker = MemoryRecords.withEndTransactionMarker(12, TIME, 5, 4_000, (short) 3,
                new EndTransactionMarker(type, 9));
            System.out.println("none " + type.name().toLowerCase(java.util.Locale.ROOT) + " " + hex(marker));
        }
    }

    private static SimpleRecord[] records() {
        byte[] key = "key".getBytes();
        byte[] value = "value".getBytes();
        Header[] headers = {new RecordHeader("name", value), new RecordHeader("null", (byte[]) null),
            new RecordHeader("", new byte[0])};
        return new SimpleRecord[] {
            new SimpleRecord(TIME, null, value),
            new SimpleRecord(TIME + 300, key, null),
            new SimpleRecord(TIME - 70, key, value, headers),
            new SimpleRecord(TIME + 300, new byte[0], new byte[0]),
            new SimpleRecord(TIME, null, (byte[]) null),
        };
    }

    private static MemoryRecordsBuilder builder(Compression codec, TimestampType by, long producer, short epoch,
                                                int sequence, boolean transactional) {
        long appendTime = by == TimestampType.LOG_APPEND_TIME ? TIME + 1_000 : RecordBatch.NO_TIMESTAMP;
        return MemoryRecords.builder(ByteBuffer.allocate(1024), RecordBatch.CURRENT_MAGIC_VALUE, codec, by, 0L,
            appendTime, producer, epoch, sequence, transactional, RecordBatch.NO_PARTITION_LEADER_EPOCH);
    }

    private static void print(String name, MemoryRecordsBuilder builder, SimpleRecord[] records) {
        for (SimpleRecord record : records) builder.append(record);
        System.out.println(name + " " + hex(builder.build()));
    }

    private static String hex(MemoryRecords records) {
        byte[] bytes = new byte[records.sizeInBytes()];
        records.buffer().get(bytes);
        return HexFormat.of().formatHex(bytes);
    }

    private static void producers() throws Exception {
        Random random = new Random(7);
        int[] starts = {0, 1, 5, Integer.MAX_VALUE - 2};
        for (int script = 0; script < 150; script++) {
            System.out.println();
            var state = new ProducerStateManager(new TopicPartition("t", 0), Files.createTempDirectory("state").toFile(),
                60_000, new ProducerStateManagerConfig(86_400_000, false), Time.SYSTEM);
            long offset = 0;
            int next = starts[random.nextInt(starts.length)];
            short epoch = (short) random.nextInt(2);
            for (int step = 0; step < 25; step++) {
                int count = 1 + random.nextInt(3);
                int first = next;
                switch (random.nextInt(10)) {
                    case 0 -> first = plus(next, random.nextInt(7) - 3);
                    case 1, 2 -> first = plus(next, -random.nextInt(14));
                    case 3 -> {
                        epoch = (short) Math.max(0, epoch + random.nextInt(3) - 1);
                        first = random.nextInt(3) == 0 ? next : 0;
                    }
                    default -> { }
                }
                String outcome = append(state, epoch, first, count, offset);
                System.out.println(epoch + " " + first + " " + count + " " + outcome);
                if (outcome.startsWith("new")) {
                    next = plus(first, count);
                    offset += count;
                }
            }
        }
    }

    private static int plus(int sequence, int by) {
        return (int) ((sequence + (long) by) & Integer.MAX_VALUE);
    }

    private static String append(ProducerStateManager state, short epoch, int first, int count, long offset) {
        MemoryRecordsBuilder builder = builder(Compression.NONE, TimestampType.CREATE_TIME, 1, epoch, first, false);
        for (int n = 0; n < count; n++) builder.append(TIME, null, new byte[0]);
        RecordBatch batch = builder.build().batches().iterator().next();
        Optional<BatchMetadata> duplicate = state.lastEntry(1).flatMap(entry -> entry.findDuplicateBatch(batch));
        if (duplicate.isPresent()) return "duplicate " + duplicate.get().firstOffset();
        ProducerAppendInfo info = state.prepareUpdate(1, AppendOrigin.CLIENT);
        try {
            info.appendDataBatch(epoch, first, batch.lastSequence(), TIME, new LogOffsetMetadata(offset),
                offset + count - 1, false);
        } catch (InvalidProducerEpochException refused) {
            return "epoch";
        } catch (OutOfOrderSequenceException refused) {
            return "order";
        }
        state.update(info);
        return "new " + offset;
    }
}
