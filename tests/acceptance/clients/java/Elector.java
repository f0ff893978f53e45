import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.ApiVersions;
import org.apache.kafka.clients.ClientUtils;
import org.apache.kafka.clients.GroupRebalanceConfig;
import org.apache.kafka.clients.Metadata;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.internals.AbstractCoordinator;
import org.apache.kafka.clients.consumer.internals.ConsumerNetworkClient;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.internals.ClusterResourceListeners;
import org.apache.kafka.common.message.JoinGroupRequestData.JoinGroupRequestProtocol;
import org.apache.kafka.common.message.JoinGroupRequestData.JoinGroupRequestProtocolCollection;
import org.apache.kafka.common.message.JoinGroupResponseData.JoinGroupResponseMember;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.utils.LogContext;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.Timer;

/**
 * A member of a group that does not consume: it elects a primary, as schema registries do, with Apache Kafka's own
 * coordinator class and a protocol type of its own. Being the primary is told as owning partition 0.
 */
final class Elector extends AbstractCoordinator {
    private static final String PROTOCOL = "v0";

    private final ConsumerNetworkClient network;
    private final String type;
    private final String identity;
    private boolean primary;

    private Elector(GroupRebalanceConfig rebalance, ConsumerNetworkClient network, Metrics metrics, String type,
            String identity) {
        super(rebalance, new LogContext(), network, metrics, type, Time.SYSTEM);
        this.network = network;
        this.type = type;
        this.identity = identity;
    }

    /** As {@code GroupClient member}; {@code --type} is the protocol type. */
    static void run(Map<String, String> options) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", options.get("bootstrap"));
        settings.put("group.id", options.get("group"));
        settings.put("client.id", options.get("id"));
        settings.put("session.timeout.ms", options.get("session-ms"));
        settings.put("heartbeat.interval.ms", GroupClient.HEARTBEAT_MS);
        settings.put("reconnect.backoff.max.ms", "200");
        settings.put("key.deserializer", ByteArrayDeserializer.class);
        settings.put("value.deserializer", ByteArrayDeserializer.class);
        ConsumerConfig config = new ConsumerConfig(settings);
        int sessionMs = Integer.parseInt(options.get("session-ms"));
        GroupRebalanceConfig rebalance = new GroupRebalanceConfig(sessionMs, sessionMs, GroupClient.HEARTBEAT_MS,
                options.get("group"), Optional.empty(), null, 100, 1000);
        Metrics metrics = new Metrics();
        ConsumerNetworkClient network = network(config, metrics, options.get("id"));
        new Elector(rebalance, network, metrics, options.get("type"), options.get("id")).stay();
    }

    private static ConsumerNetworkClient network(ConsumerConfig config, Metrics metrics, String id) {
        LogContext context = new LogContext();
        Metadata metadata = new Metadata(100, 1000, 300_000, context, new ClusterResourceListeners());
        List<InetSocketAddress> addresses = ClientUtils.parseAndValidateAddresses(config);
        metadata.bootstrap(addresses);
        return new ConsumerNetworkClient(context,
                ClientUtils.createNetworkClient(config, metrics, "elector", context, new ApiVersions(), Time.SYSTEM,
                        100, metadata, null, null),
                metadata, Time.SYSTEM, 100, 30_000, 1000);
    }

    private void stay() {
        GroupClient.stopWithInput(network::wakeup);
        while (!GroupClient.stopping()) {
            try {
                if (coordinatorUnknown() && !ensureCoordinatorReady(Time.SYSTEM.timer(1000))) {
                    continue;
                }
                ensureActiveGroup();
                long now = Time.SYSTEM.milliseconds();
                pollHeartbeat(now);
                network.poll(Time.SYSTEM.timer(Math.min(200, timeToNextHeartbeat(now))));
            } catch (WakeupException stop) {
                // The condition above is false now.
            }
        }
        resign();
        network.disableWakeups();
        close(Time.SYSTEM.timer(5000), org.apache.kafka.clients.consumer.CloseOptions.GroupMembershipOperation.DEFAULT);
    }

    private void resign() {
        if (primary) {
            primary = false;
            GroupClient.say("revoked", "\"partitions\": [0]");
        }
    }

    @Override
    protected String protocolType() {
        return type;
    }

    @Override
    protected JoinGroupRequestProtocolCollection metadata() {
        JoinGroupRequestProtocol only =
                new JoinGroupRequestProtocol().setName(PROTOCOL).setMetadata(identity.getBytes(StandardCharsets.UTF_8));
        return new JoinGroupRequestProtocolCollection(List.of(only).iterator());
    }

    @Override
    protected boolean onJoinPrepare(Timer timer, int generation, String memberId) {
        resign();
        return true;
    }

    /** The first by name, whoever leads the group. */
    @Override
    protected Map<String, ByteBuffer> onLeaderElected(String leaderId, String protocol,
            List<JoinGroupResponseMember> members, boolean skipAssignment) {
        TreeMap<String, String> identities = new TreeMap<>();
        members.forEach(one -> identities.put(new String(one.metadata(), StandardCharsets.UTF_8), one.memberId()));
        byte[] elected = identities.firstKey().getBytes(StandardCharsets.UTF_8);
        Map<String, ByteBuffer> answer = new HashMap<>();
        members.forEach(one -> answer.put(one.memberId(), ByteBuffer.wrap(elected)));
        return answer;
    }

    @Override
    protected void onJoinComplete(int generation, String memberId, String protocol, ByteBuffer assignment) {
        String elected = StandardCharsets.UTF_8.decode(assignment.duplicate()).toString();
        GroupClient.say("follows", "\"primary\": \"" + elected + "\", \"generation\": " + generation);
        if (elected.equals(identity)) {
            primary = true;
            GroupClient.say("assigned", "\"partitions\": [0]");
        }
    }
}
