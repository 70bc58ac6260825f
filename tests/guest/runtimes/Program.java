// SPDX-License-Identifier: GPL-3.0-or-later

import java.math.BigInteger;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;

/** Started from its source, so that the compiler runs, too; on four threads, through HotSpot's tiers. */
public class Program {
    static int fib(int n) {
        return n < 2 ? n : fib(n - 1) + fib(n - 2);
    }

    static long mix(long h) {
        for (int i = 0; i < 10_000_000; i++) {
            h = h * 6364136223846793005L + 1442695040888963407L;
            h ^= h >>> 17;
        }
        return h;
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println(fib(32));
        double sum = 0;
        double[] table = new double[4096];
        for (int i = 0; i < table.length; i++)
            table[i] = Math.sin(i) * Math.sqrt(i);
        for (int k = 0; k < 2000; k++)
            for (int i = 0; i < 4096; i++)
                sum += table[i] * table[(i * 7 + k) & 4095];
        System.out.println(sum);
        Map<String, Long> counts = new TreeMap<>();
        for (int i = 0; i < 300_000; i++)
            counts.merge("k" + (i * 7919L % 5003), (long) i, Long::sum);
        System.out.println(counts.size() + " " + counts.hashCode());
        ExecutorService threads = Executors.newFixedThreadPool(4);
        List<Future<Long>> results = new ArrayList<>();
        for (long t = 0; t < 8; t++) {
            long seed = t;
            results.add(threads.submit(() -> mix(seed)));
        }
        for (Future<Long> result : results)
            System.out.println(result.get());
        threads.shutdown();
        System.out.println(IntStream.range(0, 2_000_000).parallel()
            .filter(i -> Integer.bitCount(i) % 3 == 0).mapToLong(i -> (long) i * i).sum());
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        for (int i = 0; i < 20; i++)
            digest.update(new byte[1 << 20]);
        System.out.println(new BigInteger(1, digest.digest()).toString(16));
        System.out.println(new BigInteger("3").pow(20000).mod(BigInteger.TEN.pow(30).add(BigInteger.ONE)));
        StringBuilder text = new StringBuilder();
        Random random = new Random(5);
        for (int i = 0; i < 200_000; i++)
            text.append((char) ('a' + random.nextInt(26)));
        System.out.println(text.toString().replaceAll("[aeiou]+", "#").hashCode());
    }
}
