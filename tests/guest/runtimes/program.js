// SPDX-License-Identifier: GPL-3.0-or-later
// Compiled and compiled again by V8 as types become known; a second thread; garbage.
const { Worker } = require('worker_threads');
const crypto = require('crypto');
const zlib = require('zlib');

function fib(n) {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

function add(a, b) { // numbers first, strings later
  return a + b;
}

const table = new Float64Array(1000).map((_, i) => Math.sin(i) * Math.sqrt(i));
let sum = 0;
for (let k = 0; k < 2000; k++)
  for (let i = 0; i < 1000; i++) sum += table[i] * table[(i * 7 + k) % 1000];
const counts = new Map();
for (let i = 0; i < 300000; i++) {
  const key = add('k', (i * 7919) % 5003);
  counts.set(key, add(counts.get(key) || 0, i));
}
const objects = [];
for (let i = 0; i < 100000; i++) objects.push({ x: (i * 2654435761) % 1000003, y: 's' + i });
objects.sort((p, q) => p.x - q.x || (p.y < q.y ? -1 : 1));
let text = '';
for (let i = 0; i < 50000; i++) text += String.fromCharCode(97 + ((i * i) % 26));
let factorial = 1n;
for (let i = 1n; i < 1500n; i++) factorial *= i;
const hash = (data) => crypto.createHash('sha256').update(data).digest('hex');
console.log(`${fib(30)} ${sum.toFixed(6)} ${counts.size} ${[...counts.values()].reduce(add)}`);
console.log(`${hash(JSON.stringify(objects))} ${hash(factorial.toString())}`);
console.log(`${text.match(/a[b-f]+x?/g).length} ${hash(zlib.deflateSync(Buffer.from(text)))}`);

const shared = new SharedArrayBuffer(4);
const cell = new Int32Array(shared);
const worker = new Worker(
  `const cell = new Int32Array(require('worker_threads').workerData);
   for (let i = 0; i < 200000; i++) Atomics.add(cell, 0, 1);`,
  { eval: true, workerData: shared });
for (let i = 0; i < 200000; i++) Atomics.add(cell, 0, 1);
worker.on('exit', () => console.log(`${cell[0]}`));
