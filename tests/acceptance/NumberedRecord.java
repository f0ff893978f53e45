import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** The value of a partition's n-th record: it says who it is, and every byte of it follows from that. */
final class NumberedRecord {
    private static final byte[] FILLER =
            "all work and no play makes a log grow ".repeat(32).getBytes(StandardCharsets.UTF_8);

    private NumberedRecord() {}

    static byte[] value(int partition, long number) {
        byte[] name = (partition + " " + number + " ").getBytes(StandardCharsets.UTF_8);
        // From 60 to 1,083 bytes, so that batches end where no page does.
        int length = 60 + (int) ((number * 2_654_435_761L >>> 7) & 1023);
        byte[] value = Arrays.copyOf(name, Math.max(name.length, length));
        int shift = (int) (number % 37);
        System.arraycopy(FILLER, shift, value, name.length, value.length - name.length);
        return value;
    }

    /** The number in a value of {@code partition}; -1 when it is not one of ours, byte for byte. */
    static long number(int partition, byte[] value) {
        try {
            String[] words = new String(value, 0, Math.min(value.length, 40), StandardCharsets.UTF_8).split(" ", 3);
            long number = Long.parseLong(words[1]);
            return Arrays.equals(value, value(partition, number)) ? number : -1;
        } catch (RuntimeException notOurs) {
            return -1;
        }
    }
}
