// SPDX-License-Identifier: Apache-2.0
//
// Asks a broker the questions of a probe script through Apache Kafka's own message classes, and prints the script
// again with the answers in it. Run against Apache Kafka it records what is right; run against Ottla, `diff` says
// where we differ. The language of the scripts is described in probes/README.md.
//
//   java -cp <Apache Kafka's jars> Probe.java HOST:PORT SCRIPT...

import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.BinaryNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;

import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.message.FetchResponseData;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.utils.Crc32C;

import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Probe {
    static final String MESSAGES = "org.apache.kafka.common.message.";
    static final int ANSWER_MS = 10_000;
    /** How long silence must last before it is called silence. */
    static final int SILENCE_MS = 400;
    static final Pattern UNKNOWN_NAME = Pattern.compile("\\$(session|pid|cluster|id\\([^)]*\\))");
    static final JsonMapper JSON = JsonMapper.builder()
        .enable(JsonReadFeature.ALLOW_UNQUOTED_FIELD_NAMES, JsonReadFeature.ALLOW_SINGLE_QUOTES).build();

    final String host;
    final int port;
    final PrintStream out;
    /** What earlier answers called things: `$id(topic)`, `$pid`, `$session`. Printed by name, so that runs compare. */
    final Map<String, String> names = new LinkedHashMap<>();
    Socket socket;
    int correlation;

    Probe(String bootstrap, PrintStream out) {
        int colon = bootstrap.lastIndexOf(':');
        this.host = bootstrap.substring(0, colon);
        this.port = Integer.parseInt(bootstrap.substring(colon + 1));
        this.out = out;
    }

    public static void main(String[] args) throws Exception {
        Probe probe = new Probe(args[0], System.out);
        for (int i = 1; i < args.length; i++)
            for (String line : Files.readAllLines(Path.of(args[i])))
                if (!line.startsWith("<")) probe.line(line);
        probe.disconnect();
    }

    void line(String line) throws Exception {
        out.println(line);
        if (line.startsWith("==")) disconnect();
        else if (line.startsWith("> ")) ask(line.substring(2));
        else if (line.startsWith(">> ")) {
            Question question = new Question(line.substring(3));
            send(question.frame());
        } else if (line.startsWith("hex ")) write(unhex(line.substring(4)));
        else if (line.startsWith("frame ")) send(unhex(line.substring(6)));
        else if (line.equals("raw?")) raw();
        else if (line.equals("open?")) answer(isOpen() ? "open" : "closed");
        else if (line.startsWith("sleep ")) Thread.sleep(Long.parseLong(line.substring(6)));
        else if (!line.isBlank() && !line.startsWith("#")) throw new IllegalArgumentException(line);
    }

    void answer(String text) {
        out.println("< " + text);
    }

    // ---- the connection ----

    void connect() throws IOException {
        if (socket == null) {
            socket = new Socket(host, port);
            socket.setTcpNoDelay(true);
        }
    }

    void disconnect() throws IOException {
        if (socket != null) socket.close();
        socket = null;
    }

    static byte[] unhex(String text) {
        return HexFormat.of().parseHex(text.replace(" ", ""));
    }

    void send(byte[] frame) throws IOException {
        write(ByteBuffer.allocate(4 + frame.length).putInt(frame.length).put(frame).array());
    }

    void write(byte[] bytes) throws IOException {
        connect();
        socket.getOutputStream().write(bytes);
    }

    byte[] receive(int timeoutMs) throws IOException {
        socket.setSoTimeout(timeoutMs);
        DataInputStream in = new DataInputStream(socket.getInputStream());
        byte[] frame = new byte[in.readInt()];
        in.readFully(frame);
        return frame;
    }

    boolean isOpen() throws IOException {
        connect();
        socket.setSoTimeout(SILENCE_MS);
        try {
            int next = socket.getInputStream().read();
            if (next >= 0) throw new IllegalStateException("an answer nobody asked for");
            return false;
        } catch (SocketTimeoutException silence) {
            return true;
        } catch (IOException reset) {
            return false;
        }
    }

    void raw() throws IOException {
        try {
            String frame = HexFormat.of().formatHex(receive(SILENCE_MS));
            answer(frame.replace(String.format("%08x", port), "$port"));
        } catch (SocketTimeoutException silence) {
            answer("silence");
        } catch (EOFException closed) {
            answer("closed");
        } catch (IOException reset) {
            answer("closed");
        }
    }

    void ask(String text) throws Exception {
        Matcher unknown = UNKNOWN_NAME.matcher(substitute(text));
        if (unknown.find()) {
            answer("not asked: nothing has been called " + unknown.group());
            return;
        }
        Question question = new Question(text);
        long start = System.nanoTime();
        try {
            send(question.frame());
            byte[] frame = receive(question.expectsSilence ? SILENCE_MS : ANSWER_MS);
            long waitedMs = (System.nanoTime() - start) / 1_000_000;
            answer(question.read(frame) + (question.timed ? waitedMs < 150 ? "  at once" : "  waited" : ""));
        } catch (SocketTimeoutException silence) {
            answer("silence");
        } catch (IOException closed) {
            answer("closed");
            disconnect();
        } catch (RuntimeException | java.lang.reflect.InvocationTargetException unreadable) {
            Throwable why = unreadable.getCause() == null ? unreadable : unreadable.getCause();
            answer("unreadable: " + why.getMessage());
            disconnect();
        }
    }

    // ---- one question ----

    /** `[timed] [silent] [brief] Api vN [as vM] {json}`: the JSON names only what differs from Apache's defaults. */
    final class Question {
        static final Pattern FORM = Pattern.compile("((?:timed |silent |brief )*)(\\w+) v(\\d+)(?: as v(\\d+))?\\s*(\\{.*\\})?");
        final boolean timed;
        final boolean expectsSilence;
        /** Leaves out long lists that another answer of the same script shows. */
        final boolean brief;
        final String api;
        final ApiKeys key;
        final short version;
        /** The version that the header claims: differs where a version nobody knows is asked for. */
        final short claimed;
        final JsonNode body;

        Question(String text) throws Exception {
            Matcher form = FORM.matcher(text);
            if (!form.matches()) throw new IllegalArgumentException(text);
            timed = form.group(1).contains("timed");
            expectsSilence = form.group(1).contains("silent");
            brief = form.group(1).contains("brief");
            api = form.group(2);
            key = ApiKeys.valueOf(api.replaceAll("(?<=[a-z])(?=[A-Z])", "_").toUpperCase());
            version = Short.parseShort(form.group(3));
            claimed = form.group(4) == null ? version : Short.parseShort(form.group(4));
            body = JSON.readTree(substitute(form.group(5) == null ? "{}" : form.group(5)));
        }

        byte[] frame() throws Exception {
            RequestHeaderData header = new RequestHeaderData().setRequestApiKey(key.id).setRequestApiVersion(claimed)
                .setClientId("probe").setCorrelationId(++correlation);
            Class<?> type = Class.forName(MESSAGES + api + "RequestData");
            JsonNode whole = complete(body, type, type, version);
            ApiMessage message = (ApiMessage) converter(type, type)
                .getMethod("read", JsonNode.class, short.class).invoke(null, whole, version);
            ByteBuffer head = MessageUtil.toByteBufferAccessor(header, key.requestHeaderVersion(version)).buffer();
            ByteBuffer tail = MessageUtil.toByteBufferAccessor(message, version).buffer();
            return ByteBuffer.allocate(head.remaining() + tail.remaining()).put(head).put(tail).array();
        }

        String read(byte[] frame) throws Exception {
            ByteBufferAccessor bytes = new ByteBufferAccessor(ByteBuffer.wrap(frame));
            // An ApiVersions request of an unknown version is answered in version 0.
            short shape = key == ApiKeys.API_VERSIONS && claimed != version ? 0 : version;
            ResponseHeaderData header = new ResponseHeaderData(bytes, key.responseHeaderVersion(shape));
            if (header.correlationId() != correlation) throw new IllegalStateException("another correlation id");
            Class<?> type = Class.forName(MESSAGES + api + "ResponseData");
            ApiMessage message = (ApiMessage) type.getConstructor(org.apache.kafka.common.protocol.Readable.class, short.class)
                .newInstance(bytes, shape);
            if (bytes.remaining() != 0) throw new IllegalStateException(bytes.remaining() + " bytes too many");
            JsonNode json = (JsonNode) converter(type, type).getMethod("write", type, short.class, boolean.class)
                .invoke(null, message, shape, false);
            learn(json);
            if (brief) json.findParents("configs").forEach(topic -> ((ObjectNode) topic).remove("configs"));
            if (brief && json instanceof ObjectNode) ((ObjectNode) json).remove("apiKeys");
            if (message instanceof FetchResponseData) describeRecords((FetchResponseData) message, json);
            // Only DescribeTopicPartitions promises an order; elsewhere it is that of a hash map.
            json = normal(json);
            if (key != ApiKeys.DESCRIBE_TOPIC_PARTITIONS) sort(json);
            return json.toString();
        }
    }

    static Class<?> converter(Class<?> top, Class<?> type) throws ClassNotFoundException {
        String name = top.getName() + "JsonConverter";
        return Class.forName(top == type ? name : name + "$" + type.getSimpleName() + "JsonConverter");
    }

    /** Fills in Apache's default for every field that the script leaves out, at every depth. */
    static JsonNode complete(JsonNode given, Class<?> top, Class<?> type, short version) throws Exception {
        Object fresh = type.getConstructor().newInstance();
        // A records field without a value cannot be written as JSON: it is always given.
        for (Field field : type.getDeclaredFields())
            if (field.getName().equals("records")) {
                field.setAccessible(true);
                field.set(fresh, MemoryRecords.EMPTY);
            }
        ObjectNode whole = (ObjectNode) converter(top, type)
            .getMethod("write", type, short.class).invoke(null, fresh, version);
        for (var entry : given.properties()) {
            JsonNode value = entry.getValue();
            Class<?> element = structOf(type, entry.getKey());
            if (element != null && value.isArray()) {
                ArrayNode elements = JSON.createArrayNode();
                for (JsonNode each : value) elements.add(complete(each, top, element, version));
                value = elements;
            } else if (element != null && value.isObject()) {
                value = complete(value, top, element, version);
            } else if (value.isTextual() && value.asText().startsWith("@batch")) {
                value = new BinaryNode(batches(value.asText()));
            }
            whole.set(entry.getKey(), value);
        }
        return whole;
    }

    /** The struct class inside a field: of the field itself, of a list's elements or of a keyed collection's. */
    static Class<?> structOf(Class<?> type, String name) throws NoSuchFieldException {
        Field field = type.getDeclaredField(name);
        Type inner = field.getGenericType();
        if (field.getType().getName().endsWith("Collection")) inner = field.getType().getGenericSuperclass();
        if (inner instanceof ParameterizedType) inner = ((ParameterizedType) inner).getActualTypeArguments()[0];
        return inner instanceof Class && ((Class<?>) inner).getName().startsWith(MESSAGES) ? (Class<?>) inner : null;
    }

    // ---- record batches ----

    /** `@batch k=v... value value...`, several joined with `;`. Options: see probes/README.md. */
    static byte[] batches(String text) {
        java.io.ByteArrayOutputStream all = new java.io.ByteArrayOutputStream();
        for (String one : text.split(";")) all.writeBytes(batch(one.trim().split("\\s+")));
        return all.toByteArray();
    }

    static byte[] batch(String[] words) {
        Map<String, String> options = new LinkedHashMap<>();
        List<SimpleRecord> records = new ArrayList<>();
        for (int i = 1; i < words.length; i++) {
            int equals = words[i].indexOf('=');
            if (equals > 0) options.put(words[i].substring(0, equals), words[i].substring(equals + 1));
            else if (words[i].equals("txn")) options.put("txn", "");
            else records.add(new SimpleRecord(Long.parseLong(options.getOrDefault("ts", "1700000000000")),
                null, words[i].getBytes(StandardCharsets.UTF_8)));
        }
        if (options.containsKey("fill"))
            records.add(new SimpleRecord(1_700_000_000_000L, null, new byte[Integer.parseInt(options.get("fill"))]));
        byte magic = Byte.parseByte(options.getOrDefault("magic", "2"));
        Compression codec = Compression.of(CompressionType.forName(options.getOrDefault("codec", "none"))).build();
        MemoryRecords built = MemoryRecords.withRecords(magic, Long.parseLong(options.getOrDefault("base", "0")), codec,
            TimestampType.CREATE_TIME, Long.parseLong(options.getOrDefault("pid", "-1")),
            Short.parseShort(options.getOrDefault("epoch", "-1")), Integer.parseInt(options.getOrDefault("seq", "-1")),
            RecordBatch.NO_PARTITION_LEADER_EPOCH, options.containsKey("txn"), records.toArray(new SimpleRecord[0]));
        byte[] bytes = new byte[built.sizeInBytes()];
        built.buffer().duplicate().get(bytes);
        return spoil(bytes, options);
    }

    /** `poke=AT:HEX` keeps the checksum right, `harm=AT:HEX` does not; `cut=N` drops the last bytes. */
    static byte[] spoil(byte[] bytes, Map<String, String> options) {
        if (options.containsKey("poke")) {
            poke(bytes, options.get("poke"));
            int crc = (int) Crc32C.compute(bytes, 21, bytes.length - 21);
            ByteBuffer.wrap(bytes).putInt(17, crc);
        }
        if (options.containsKey("harm")) poke(bytes, options.get("harm"));
        int cut = Integer.parseInt(options.getOrDefault("cut", "0"));
        return java.util.Arrays.copyOf(bytes, bytes.length - cut);
    }

    static void poke(byte[] bytes, String where) {
        String[] parts = where.split(":");
        byte[] value = HexFormat.of().parseHex(parts[1]);
        System.arraycopy(value, 0, bytes, Integer.parseInt(parts[0]), value.length);
    }

    /** Adds to each partition of a Fetch answer what its records are: `[first..last@epoch]` for each whole batch. */
    static void describeRecords(FetchResponseData answer, JsonNode json) {
        for (int t = 0; t < answer.responses().size(); t++)
            for (int p = 0; p < answer.responses().get(t).partitions().size(); p++) {
                if (!(answer.responses().get(t).partitions().get(p).records() instanceof MemoryRecords)) continue;
                StringBuilder text = new StringBuilder();
                MemoryRecords records = (MemoryRecords) answer.responses().get(t).partitions().get(p).records();
                int whole = 0;
                for (RecordBatch batch : records.batches()) {
                    whole += batch.sizeInBytes();
                    text.append('[').append(batch.baseOffset()).append("..").append(batch.lastOffset()).append('@')
                        .append(batch.partitionLeaderEpoch()).append(']');
                }
                if (whole < records.sizeInBytes()) text.append(" and ").append(records.sizeInBytes() - whole).append(" bytes");
                ((ObjectNode) json.get("responses").get(t).get("partitions").get(p)).put("batches", text.toString());
            }
    }

    static void sort(JsonNode json) {
        for (JsonNode child : json) sort(child);
        if (!(json instanceof ArrayNode) || json.isEmpty() || !json.get(0).isObject()) return;
        List<JsonNode> elements = new ArrayList<>();
        json.forEach(elements::add);
        elements.sort(java.util.Comparator.comparing(Probe::sortKey));
        ((ArrayNode) json).removeAll().addAll(elements);
    }

    static String sortKey(JsonNode element) {
        for (String field : new String[] {"name", "topic", "key", "topicId", "feature", "user"})
            if (element.path(field).isTextual()) return element.get(field).asText();
        for (String field : new String[] {"index", "partitionIndex", "apiKey", "nodeId", "brokerId", "batchIndex", "partitionId"})
            if (element.has(field)) return String.format("%010d", element.get(field).asLong());
        return "";
    }

    // ---- names for what differs from run to run ----

    String substitute(String text) {
        for (var name : names.entrySet()) text = text.replace(name.getKey(), name.getValue());
        return text;
    }

    void learn(JsonNode json) {
        if (json.isObject()) {
            for (String field : new String[] {"name", "topic"})
                if (json.path(field).isTextual() && json.has("topicId") && !isZero(json.get("topicId").asText()))
                    names.put("$id(" + json.get(field).asText() + ")", json.get("topicId").asText());
            if (json.path("clusterId").isTextual()) names.put("$cluster", json.get("clusterId").asText());
            if (json.path("producerId").asLong(-1) >= 0) names.put("$pid", json.get("producerId").asText());
            if (json.path("sessionId").asInt(0) != 0) names.put("$session", json.get("sessionId").asText());
        }
        for (JsonNode child : json) learn(child);
    }

    static boolean isZero(String uuid) {
        return uuid.equals("AAAAAAAAAAAAAAAAAAAAAA");
    }

    JsonNode normal(JsonNode json) {
        if (json instanceof ArrayNode)
            for (int i = 0; i < json.size(); i++) ((ArrayNode) json).set(i, normal(json.get(i)));
        if (json instanceof ObjectNode)
            for (var entry : json.properties()) {
                String key = entry.getKey();
                if (key.equals("port")) entry.setValue(new TextNode(entry.getValue().asInt() == port ? "$port" : "other"));
                else if (key.equals("finalizedFeaturesEpoch")) entry.setValue(new TextNode("$offset"));
                else if (key.equals("producerId") && entry.getValue().asLong() >= 0) entry.setValue(new TextNode("$pid"));
                else if (key.equals("logDir")) entry.setValue(new TextNode("$dir"));
                else if (key.equals("totalBytes") || key.equals("usableBytes"))
                    entry.setValue(new TextNode(entry.getValue().asLong() > 0 ? "$bytes" : entry.getValue().asText()));
                else if (key.equals("sessionId") && entry.getValue().asInt() != 0) entry.setValue(new TextNode("$session"));
                else entry.setValue(normal(entry.getValue()));
            }
        // The limits of a timestamp that was refused depend on the clock.
        if (json.isTextual() && json.asText().contains("should be within ["))
            json = new TextNode(json.asText().replaceAll("within \\[-?\\d+, \\d+\\]", "within [\\$from, \\$to]"));
        if (json.isTextual())
            for (var name : names.entrySet())
                if (name.getValue().length() > 20 && json.asText().contains(name.getValue()))
                    return new TextNode(json.asText().replace(name.getValue(), name.getKey()));
        return json;
    }
}
