-- SPDX-License-Identifier: Apache-2.0
-- The runtime of training, compiled as boards compile, gives the bits that the workstation's copy gives: losses and
-- their gradients, steps of the optimiser with gradients and moments that underflow, sums of gradients. No warning, no
-- function of a library but those that copy memory.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local sys = spec.host "msagen.sys"
if not sys then return end
local boards, emit, losses, optimisers, reference, template, tensor, tier, tiny = require "target.boards",
  require "emit.emit", require "msagen.loss", require "msagen.optimiser", require "msagen.reference",
  require "support.template", require "msagen.tensor", require "tier", require "tiny_model"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-training-")
sys.cleanup(work)

local SIDE, TARGET, MASKS, ELEMENTS, STEPS = 12, 29, 3, 389, 3
local RULES = { { kind = "bce", pos_weight = 2 }, { kind = "dicece", cross_entropy = "binary" },
  { kind = "sam", focal = 20, dice = 1, iou = 1 } }
local OPTIMISERS = { { kind = "adam", lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, decay = 0.01 },
  { kind = "adamw", lr = 1e-2, betas = { 0.5, 0.75 }, eps = 1e-12, decay = 0.1, clip = 0.25 } }

local PROGRAM = [[
#include "msa_image.c"
#include "msa_image_line.c"
#include "msa_gradient.c"
#include "msa_loss.c"
#include "msa_optimiser.c"
#include <stdio.h>
#include <stdlib.h>
enum { SIDE = $(SIDE), TARGET = $(TARGET), MASKS = $(MASKS), ELEMENTS = $(ELEMENTS), LOGITS = MASKS * SIDE * SIDE };
static float logits[LOGITS], iou[MASKS], dlogits[LOGITS], diou[MASKS], shares[TARGET * TARGET];
static float values[ELEMENTS], gradient[ELEMENTS], first[ELEMENTS], second[ELEMENTS];
static double work[MSA_LOSS_WORK_BYTES(SIDE, TARGET, MASKS) / 8 + 1];
static void take(float *p, size_t n) { if (fread(p, sizeof *p, n, stdin) != n) exit(2); }
static void give(const void *p, size_t bytes) { fwrite(p, 1, bytes, stdout); }
static void of(msa_loss_rule rule)
{
    const msa_target target = {NULL, shares, 1, TARGET};
    const msa_loss_input in = {rule, target, MASKS, SIDE, 1, MASKS - 1, 0.25};
    msa_loss loss;
    if (msa_loss_of(&in, logits, iou, work, sizeof work, dlogits, diou, &loss) != MSA_OK) exit(3);
    give(&loss.value, sizeof loss.value);
    give(dlogits, sizeof dlogits);
    give(diou, sizeof diou);
}
static void steps(msa_optimiser rule, uint32_t count)
{
    const msa_trained list[] = {{values, gradient, first, second, ELEMENTS, true}};
    msa_steps done;
    float norm;
    take(values, ELEMENTS);
    for (size_t i = 0; i < ELEMENTS; ++i) first[i] = second[i] = 0.0f;
    msa_steps_at(&done, &rule, 0);
    for (uint32_t t = 0; t < count; ++t) {
        take(gradient, ELEMENTS);
        if (msa_optimise(&rule, &done, list, 1, 1.0 / 3.0, &norm) != MSA_OK) exit(4);
    }
    give(values, sizeof values);
    give(first, sizeof first);
    give(second, sizeof second);
    give(&norm, sizeof norm);
}
int main(void)
{
    take(logits, LOGITS);
    take(iou, MASKS);
    take(shares, TARGET * TARGET);
@ for _, rule in ipairs(rules) do
    of((msa_loss_rule)$(rule));
@ end
@ for _, rule in ipairs(optimisers) do
    steps((msa_optimiser)$(rule), $(STEPS));
@ end
    msa_gradient_add(gradient, values, ELEMENTS);
    give(gradient, sizeof gradient);
    return 0;
}
]]

-- A tensor of numbers whose exponents are spread over 2^-reach to 1, and its bytes.
local first = 0
local function numbers(scale, reach, shape)
  local n, list = 1, {}
  for _, side in ipairs(shape) do n = n * side end
  for i, x in ipairs(reference.pattern(first, 1, n):totable()) do
    list[i] = scale * x * 2.0 ^ -(reach > 0 and (i * 37) % reach or 0)
  end
  first = first + n
  return tensor.from(list, shape)
end

local function positive(t)
  local list = t:totable()
  for i, x in ipairs(list) do list[i] = math.abs(x) < 0.5 and math.abs(x) or x < 0 and 0 or 1 end
  return tensor.from(list, t.shape)
end

-- What a class gives, and what the program reads for it.
local function expected(class)
  local input, output, loss, optimiser = {}, {}, losses.of(class), optimisers.of(class)
  local function take(t) input[#input + 1] = t:tobytes() return t end
  local function give(t) output[#output + 1] = t:tobytes() end
  local logits, iou = take(numbers(70, 4, { MASKS, SIDE, SIDE })), take(numbers(1, 0, { MASKS }))
  local target = take(positive(numbers(1, 0, { TARGET, TARGET })))
  for _, rule in ipairs(RULES) do
    local r = loss.value { logits = logits, iou = iou, target = target, rule = rule, first = 1, weight = 0.25 }
    output[#output + 1] = string.pack("<d", r.value)
    give(r.dlogits)
    give(r.diou)
  end
  local gradient
  for _, rule in ipairs(OPTIMISERS) do
    local none = tensor.zeros { ELEMENTS }
    local state, norm = { value = take(numbers(1, 100, { ELEMENTS })), first = none, second = none }, nil
    for t = 1, STEPS do
      gradient = take(numbers(1, 125, { ELEMENTS }))
      state.gradient, state.decays = gradient, true
      local made
      made, norm = optimiser.update(rule, t - 1, { state }, 1 / 3)
      state = made[1]
    end
    give(state.value)
    give(state.first)
    give(state.second)
    output[#output + 1] = string.pack("<f", norm)
    gradient = optimiser.add(gradient, state.value)
  end
  give(gradient)
  return table.concat(input), table.concat(output)
end

local function rule_of_loss(rule)
  return ("{%s, %s, %s, %s, %s, %s}"):format(({ bce = "MSA_LOSS_BCE", dicece = "MSA_LOSS_DICECE",
    sam = "MSA_LOSS_SAM" })[rule.kind], rule.pos_weight or 1, rule.cross_entropy == "binary", rule.focal or 0,
    rule.dice or 0, rule.iou or 0)
end

local function rule_of_optimiser(rule)
  return ("{%s, %.17g, %.17g, %.17g, %.17g, %.17g, %.17g}"):format(rule.kind == "adam" and "MSA_ADAM" or "MSA_ADAMW",
    rule.lr, rule.betas[1], rule.betas[2], rule.eps, rule.decay or 0, rule.clip or 0)
end

local FILES = { "msa.h", "msa_runtime.h", "msa_image.c", "msa_image_line.c", "train/msa_gradient.c",
  "train/msa_gradient.h",
  "train/msa_loss.c", "train/msa_loss.h", "train/msa_optimiser.c", "train/msa_optimiser.h", "train/msa_train_arith.h" }

-- The files as a generated folder has them, and the program.
local function folder(board)
  local dir, rules, steps = work .. "/" .. board.name, {}, {}
  sys.mkdir_p(dir)
  for _, file in ipairs(FILES) do
    sys.write_file(("%s/%s"):format(dir, file:match "[^/]+$"), sys.read_file(("%s/runtime/%s"):format(msagen.datadir,
      file)))
  end
  sys.write_file(dir .. "/msa_arith.h", emit.arith(sys.read_file(msagen.datadir .. "/runtime/msa_arith.h"),
    board.arithmetic))
  for i, rule in ipairs(RULES) do rules[i] = rule_of_loss(rule) end
  for i, rule in ipairs(OPTIMISERS) do steps[i] = rule_of_optimiser(rule) end
  sys.write_file(dir .. "/main.c", template.render(PROGRAM, "program", { SIDE = SIDE, TARGET = TARGET, MASKS = MASKS,
    ELEMENTS = ELEMENTS, STEPS = STEPS, rules = rules, optimisers = steps, ipairs = ipairs }))
  return dir
end

local function options(board, dir, more)
  local list = { "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wvla", "-Werror", "-ffp-contract=off",
    "-fno-math-errno", "-I", dir }
  for word in (board.optimisation or "-O2"):gmatch "%S+" do list[#list + 1] = word end
  return table.move(more or {}, 1, #(more or {}), #list + 1, list)
end

local function runs(board, more)
  local dir = folder(board)
  local input, output = expected(board.arithmetic)
  sys.write_file(dir .. "/in", input)
  tiny.compile(board, options(board, dir, more), dir .. "/main.c", dir .. "/main")
  local call = tiny.command(board, dir .. "/main")
  call.stdin, call.stdout, call.stderr = dir .. "/in", dir .. "/out", "capture"
  equal((sys.spawn(call)), 0, "exit status")
  local found = sys.read_file(dir .. "/out")
  equal(#found, #output)
  for i = 1, #output do
    if found:byte(i) ~= output:byte(i) then error(("byte %d of %d is another"):format(i, #output)) end
  end
end

local here = tiny.boards()
if spec.compiles() then
  local emulated = tiny.emulated()
  if not tier.full then emulated = #emulated > 0 and { tier.chosen(emulated, "training") } or emulated end
  table.move(emulated, 1, #emulated, #here + 1, here)
else
  here = { here[#here] }
end

describe("the runtime of training, bit for bit what the workstation computes:", function()
  for _, board in ipairs(here) do
    it(board.name, function() runs(board) end)
  end

  it("at other levels of optimisation", function()
    for _, level in ipairs(tier.quick and { "-O3" } or { "-O0", "-O1", "-O3" }) do
      runs(here[1], { level })
    end
  end)

  it("takes nothing from a library", function()
    local board = here[1]
    local dir = folder(board)
    for _, file in ipairs { "msa_gradient", "msa_loss", "msa_optimiser" } do
      local command = table.move(options(board, dir, { "-ffreestanding", "-c", "-o", dir .. "/one.o",
        ("%s/%s.c"):format(dir, file) }), 1, 100, 2, { board.compiler })
      tiny.must(table.move(board.flags, 1, #board.flags, #command + 1, command))
      for name in tiny.must { "nm", "-u", dir .. "/one.o" }:gmatch "U ([%w_]+)" do
        assert(name == "msa_between_at" or name == "memcpy" or name == "memset", name)
      end
    end
  end)
end)
