// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime on what encoder.py wrote: node encoder.cjs MODULES STEM SIDE THREADS REPETITIONS OPTIONS [EXPECTED.npy]
// MODULES is the folder in which npm put onnxruntime-node, OPTIONS more options of the session as JSON. Prints
// `version`, `create_ms`, `ms` and `cpu_ms` of the first run and of each repetition, `peak_bytes`, and with EXPECTED,
// an embedding as msagen writes it, `error`: the largest difference over the largest value.
'use strict';
const fs = require('fs');
const path = require('path');

const [modules, stem, side, threads, repetitions, more, expected] = process.argv.slice(2);

function fail(message) {
  process.stderr.write(`encoder.cjs: ${message}\n`);
  process.exit(1);
}

function floats(file, offset) {
  const bytes = fs.readFileSync(file);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset + offset, bytes.byteOffset + bytes.length));
}

function compare(found, file) {
  const header = fs.readFileSync(file).readUInt16LE(8);
  const wanted = floats(file, 10 + header);
  if (found.length !== wanted.length) fail(`${file}: expected ${found.length} values, found ${wanted.length}`);
  let error = 0, scale = 0;
  for (let i = 0; i < wanted.length; ++i) {
    const difference = Math.abs(found[i] - wanted[i]);
    if (!(difference <= error)) error = difference; // NaN stays
    scale = Math.max(scale, Math.abs(wanted[i]));
  }
  return error / scale;
}

async function main() {
  let ort;
  try {
    ort = require(path.join(modules, 'onnxruntime-node'));
  } catch (why) {
    fail(`${modules}: onnxruntime-node cannot be loaded: ${String(why.message).split('\n')[0]}`);
  }
  const now = () => Number(process.hrtime.bigint()) / 1e6;
  const lines = [`version ${ort.env.versions.node || ort.env.versions.common}`];
  const input = new ort.Tensor('float32', floats(`${stem}.input`, 0), [1, 3, Number(side), Number(side)]);
  const opening = now();
  const session = await ort.InferenceSession.create(`${stem}.onnx`, {
    graphOptimizationLevel: 'all', executionMode: 'sequential', intraOpNumThreads: Number(threads),
    interOpNumThreads: 1, ...JSON.parse(more),
  });
  lines.push(`create_ms ${(now() - opening).toFixed(3)}`);
  let embedding;
  for (let i = 0; i <= Number(repetitions); ++i) {
    const start = now(), busy = process.cpuUsage();
    ({ embedding } = await session.run({ image: input }));
    const { user, system } = process.cpuUsage(busy);
    lines.push(`ms ${(now() - start).toFixed(3)}`, `cpu_ms ${((user + system) / 1e3).toFixed(3)}`);
  }
  lines.push(`peak_bytes ${1024 * Number(/VmHWM:\s*(\d+)/.exec(fs.readFileSync('/proc/self/status', 'latin1'))[1])}`);
  if (expected) lines.push(`error ${compare(embedding.data, expected).toExponential(3)}`);
  process.stdout.write(lines.join('\n') + '\n');
}

main().catch((why) => fail(String(why.message).split('\n')[0]));
