// kafkajs behind the command line of ../README.md; it knows the classic protocol only, and its own eager assignor.
// The library is looked for in the folder that NODE_PATH names.
const { CompressionTypes, Kafka, ConfigResourceTypes, logLevel } = require('kafkajs');

const HEARTBEAT_MS = 600;
const options = { protocol: 'classic' };
for (let i = 3; i + 1 < process.argv.length; i += 2) options[process.argv[i].slice(2)] = process.argv[i + 1];

let stopping = false;
const stopped = new Promise((resolve) => {
  process.stdin.on('end', () => { stopping = true; resolve(); });
  process.stdin.resume();
});
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function say(event, rest) {
  const at = Math.floor((performance.timeOrigin + performance.now()) * 1000);
  process.stdout.write(`${JSON.stringify({ at, event, ...rest })}\n`);
}

function expect(call, held, got) {
  if (!held) throw new Error(`${call}: got ${JSON.stringify(got)}`);
  say('passed', { call });
}

async function until(call, question) {
  for (let i = 0; i < 100 && !(await question()); i++) await sleep(50);
  expect(call, await question(), 'nothing for five seconds');
}

const kafka = new Kafka({
  clientId: options.id || 'kafkajs',
  brokers: [options.bootstrap],
  logLevel: logLevel.ERROR,
  logCreator: () => ({ namespace, log }) => process.stderr.write(`${namespace} ${log.message} ${log.error || ''}\n`),
  retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 600 },
});

// One member of a group. It gives everything back before it joins again.
async function member() {
  let owned = [];
  const release = () => {
    if (owned.length) say('revoked', { partitions: owned });
    owned = [];
  };
  const consumer = kafka.consumer({
    groupId: options.group,
    sessionTimeout: Number(options['session-ms']),
    heartbeatInterval: HEARTBEAT_MS,
    rebalanceTimeout: 10000,
    maxWaitTimeInMs: 100,
    metadataMaxAge: 5000,
  });
  consumer.on(consumer.events.REBALANCING, release);
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    release();
    owned = [...(payload.memberAssignment[options.topic] || [])].sort((a, b) => a - b);
    say('assigned', { partitions: owned });
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) { say('failed', { why: String(payload.error) }); process.exit(1); }
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [options.topic], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, heartbeat }) => {
      const { partition } = batch;
      const offsets = batch.messages.map((message) => Number(message.offset));
      if (!offsets.length) return;
      say('records', { partition, offsets });
      const last = offsets[offsets.length - 1];
      resolveOffset(String(last));
      await consumer.commitOffsets([{ topic: options.topic, partition, offset: String(last + 1) }]);
      say('committed', { offsets: { [partition]: last + 1 } });
      await heartbeat();
    },
  });
  await stopped;
  await consumer.stop();
  release();
  await consumer.disconnect();
}

async function produce() {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  // gzip is what it brings along.
  const compression = options.codec === 'gzip' ? CompressionTypes.GZIP : CompressionTypes.None;
  const partitions = Number(options.partitions);
  const burst = Math.floor(Number(options.rate) / 20);
  let sent = 0;
  while (!stopping) {
    const messages = [];
    for (let i = 0; i < burst; i++, sent++) messages.push({ partition: sent % partitions, value: String(sent) });
    await producer.send({ topic: options.topic, messages, compression });
    await sleep(50);
  }
  await producer.disconnect();
}

async function admin() {
  const topic = `${options.prefix}-topic`;
  const client = kafka.admin();
  await client.connect();
  await adminTopics(client, topic);
  await adminRecords(client, topic);
  await adminGroups(client, topic, `${options.prefix}-group`);
  await client.deleteTopics({ topics: [topic] });
  await until('delete topics', async () => !(await client.listTopics()).includes(topic));
  await client.disconnect();
}

async function adminTopics(client, topic) {
  const configEntries = [{ name: 'retention.ms', value: '86400000' }];
  await client.createTopics({ topics: [{ topic, numPartitions: 3, configEntries }] });
  expect('create and list topics', (await client.listTopics()).includes(topic));
  expect('create a topic twice', !(await client.createTopics({ topics: [{ topic }] })));
  await client.createPartitions({ topicPartitions: [{ topic, count: 5 }] });
  await until('create partitions', async () =>
    (await client.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 5);
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic };
  const value = async (name) => {
    const { resources } = await client.describeConfigs({ resources: [resource], includeSynonyms: true });
    return resources[0].configEntries.find((entry) => entry.configName === name).configValue;
  };
  expect('describe configs', (await value('retention.ms')) === '86400000');
  const wanted = { ...resource, configEntries: [{ name: 'segment.ms', value: '3600000' }] };
  await client.alterConfigs({ resources: [wanted] });
  await until('replace configs', async () =>
    (await value('retention.ms')) === '604800000' && (await value('segment.ms')) === '3600000');
  const cluster = await client.describeCluster();
  expect('describe the cluster', cluster.brokers.length === 1, cluster);
}

async function adminRecords(client, topic) {
  const producer = kafka.producer();
  await producer.connect();
  const first = Date.now() - 600000;
  const messages = [...Array(100).keys()].map((i) => ({ partition: 0, value: 'x', timestamp: String(first + i) }));
  await producer.send({ topic, messages });
  await producer.disconnect();
  await client.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '30' }] });
  const found = (await client.fetchTopicOffsets(topic)).find((one) => one.partition === 0);
  expect('delete records and list offsets', found.low === '30' && found.high === '100', found);
  const timed = (await client.fetchTopicOffsetsByTimestamp(topic, first + 40)).find((one) => one.partition === 0);
  expect('list offsets: by time', timed.offset === '40', timed);
}

async function adminGroups(client, topic, groupId) {
  await client.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '42' }] });
  const committed = async () => (await client.fetchOffsets({ groupId, topics: [topic] }))[0].partitions
    .find((one) => one.partition === 0).offset;
  expect('alter and list offsets', (await committed()) === '42');
  const listed = async () => (await client.listGroups()).groups.map((one) => one.groupId);
  expect('list groups', (await listed()).includes(groupId));
  const consumer = kafka.consumer({ groupId });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic] });
  const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
  await consumer.run({ autoCommit: false, eachBatch: async () => {} });
  await joined;
  const [group] = (await client.describeGroups([groupId])).groups;
  expect('describe a group', group.state === 'Stable' && group.members.length === 1, group.state);
  let refused;
  try { await client.deleteGroups([groupId]); } catch (why) { refused = why; }
  expect('delete a group with members', refused && refused.groups[0].errorCode === 68, String(refused));
  await consumer.disconnect();
  expect('offsets outlive the member', (await committed()) === '42');
  await client.deleteGroups([groupId]);
  expect('delete groups', !(await listed()).includes(groupId));
}

({ member, produce, admin })[process.argv[2]]().then(() => process.exit(0), (why) => {
  process.stderr.write(`${why.stack}\n`);
  say('failed', { why: String(why) });
  process.exit(1);
});
