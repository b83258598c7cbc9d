-- SPDX-License-Identifier: Apache-2.0
-- What the self-test covers: each statement of the generated and the runtime's functions is left out in turn, then each
-- operation and each constant in them is another, and msa_self_test must notice.
-- All mutants are one program, which takes a number: what it leaves out or changes. A function of which nothing is
-- missed is not covered.
-- The full tier has more models, and prints each statement that nobody missed.

local spec = require "spec"
local describe, it = spec.describe, spec.it
local sys = spec.host "msagen.sys"
if not sys then return end
if not spec.compiles() then return end
local tiny = require "tiny_model"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-mutants-")
sys.cleanup(work)
local all = require "tier".full

-- Prints the numbers of the mutants that pass the self-test. One that does not end is noticed by a product's watchdog.
local MAIN = [[
#define _DEFAULT_SOURCE
#define _ISOC11_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "msa_model.h"
unsigned mutant;
static unsigned char arena[MSA_MODEL_ARENA_BYTES + 4096] __attribute__((aligned(64)));
int main(int argc, char **argv)
{
    void *const weights = aligned_alloc(64, (MSA_MODEL_WEIGHTS_BYTES + 63) / 64 * 64);
    FILE *const file = argc == 3 ? fopen(argv[1], "rb") : NULL;
    if (weights == NULL || file == NULL) return 2;
    if (fread(weights, 1, MSA_MODEL_WEIGHTS_BYTES, file) != MSA_MODEL_WEIGHTS_BYTES) return 2;
    static msa_session s;
    if (msa_open(&s, arena, sizeof arena, weights, MSA_MODEL_WEIGHTS_BYTES) != MSA_OK) return 3;
    for (int n = 0; n <= atoi(argv[2]); ++n) {
        const pid_t child = fork();
        int status = 0;
        if (child == 0) {
            const struct rlimit none = {0, 0};
            const struct itimerval most = {{0, 0}, {0, 500000}}; /* of processor time, many times what it takes */
            setrlimit(RLIMIT_CORE, &none);
            setitimer(ITIMER_PROF, &most, NULL);
            mutant = (unsigned)n;
            _exit(msa_self_test(&s) == MSA_OK ? 0 : 1);
        }
        if (child < 0 || waitpid(child, &status, 0) != child) return 4;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) printf("%d\n", n);
    }
    return 0;
}
]]

local FILES = { "msa_kernels.c", "msa_encoder.c", "msa_decoder.c", "msa_image.c", "msa_resize.c", "msa_prompt.c",
  "msa_places.c", "msa_sample.c", "msa_upsample.c", "msa_bicubic.c" }

-- Functions that the self-test cannot call or whose result is no part of a mask, and why; patterns.
local EXEMPT = {
  { "^msa_block_%d+_", "runs a whole encoder layer: loops over windows and blocks of tokens, whose kernels are all "
    .. "tested by themselves" },
  { "^msa_encode_layers$", "runs the whole encoder: calls the layers in turn" },
  { "^msa_image_check$", "refuses images; computes nothing" },
  { "^check_strides$", "refuses images; computes nothing" },
  { "^%l+_bytes$", "refuses images; computes nothing" },
  { "^msa_image_bytes$", "refuses images; computes nothing" },
  { "^msa_image_of_core$", "of builds for several cores, whose images are not RGB" },
  { "^msa_image_row$", "gives an address of RGB pixels; makes rows of others: tests/c/test_pixels.c" },
  { "^is_wide$", "of pixels that are not RGB: tests/c/test_pixels.c" },
  { "^wide_at$", "of pixels that are not RGB: tests/c/test_pixels.c" },
  { "^windowed$", "of pixels that are not RGB: tests/c/test_pixels.c" },
  { "^msa_prompt_check$", "refuses prompts; computes nothing" },
  { "^within$", "refuses prompts; computes nothing" },
  { "^msa_upsample_probabilities$", "of models whose masks are of probabilities, which test it" },
  { "^small_row$", "of models whose masks are of probabilities, which test it" },
  { "^msa_upsample_squashed$", "of models whose masks are enlarged to the square first, which test it" },
  { "_as_written$", "asks about the compiler's flags; computes nothing" },
}

-- Beside these, functions whose operations change nothing in so small a model.
local STILL = {
  { "^msa_gemm_f32_", "loops over tiles of a product, of which there is one here: all that is added is 0" },
  { "^probability$", "of models whose masks are of probabilities, which test it" },
}

local function exempt(name, list)
  for _, e in ipairs(list) do
    if name:match(e[1]) then return e[2] end
  end
end

local DECLARES = { "const", "msa_image", "float", "double", "size_t", "uint8_t", "uint16_t", "uint32_t", "int32_t",
  "int8_t",
  "static", "bool", "return", "else", "break", "continue", "msa_vec",
  "msa_status", "msa_resizer", "typedef", "extern", "triangle", "msa_between",
    "four", "volatile", "struct", "msa_piece",
    "msa_stream" }
local declares = {}
for _, word in ipairs(DECLARES) do declares[word] = true end

--- A file's text with each statement of its functions behind a question; list gets { number -> {file, function, text}
-- }.
local function questioned(text, file, list)
  -- A call that goes on in the next line is one statement.
  text = text:gsub("(\n%s+[%w_]+%([^;{}\n]*,)\n%s+([^;{}\n]*%);)", "%1 %2")
  local out, name, depth, lines = {}, nil, 0, {}
  for line in text:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  for i, line in ipairs(lines) do
    local opens = line:match "^[%w_][%w_ %*]-([%w_]+)%(.*[%),]%s*$" or line:match "^[%w_][%w_ %*]-([%w_]+)%(.*%)%s*{?$"
    if opens and depth == 0 and not line:find ";" then name = opens end
    local indent, statement = line:match "^(%s+)(%S.*;)%s*$"
    statement = statement or line:match "^%s+(%S.*;)%s*/%*.*%*/%s*$"
    local word = statement and statement:match "^[%a_][%w_]*"
    local complete = statement and select(2, statement:gsub("%(", "")) == select(2, statement:gsub("%)", ""))
      and not statement:match "^%(void%)"
    local before, after = lines[i - 1] or "", lines[i + 1] or ""
    -- Not a line that goes on from the one before, nor one with an else behind it.
    local begins = before:match "[;{}]%s*$" or before:match "%*/%s*$" or before:match "^%s*$" or before:match "^%s*#"
      or before:match "%)%s*$"
    if complete and depth > 0 and name and (not word or not declares[word]) and begins and not after:match "^%s*else"
      and not statement:find "[{}]" then
      list[#list + 1] = { file = file, name = name, text = statement }
      out[i] = ("%sif (mutant != %du) { %s }"):format(indent or "    ", #list, statement)
    else
      out[i] = line
    end
    local code = line:gsub('"[^"]*"', ""):gsub("/%*.-%*/", "")
    depth = depth + select(2, code:gsub("{", "")) - select(2, code:gsub("}", ""))
  end
  return table.concat(out, "\n") .. "\n"
end

-- Operations in place of others: what a mutant computes.
local OPERATIONS = [[
extern unsigned mutant;
#define MUTATED_vfma(n, a, b, c) (mutant == (n) ? msa_vadd(a, c) : msa_vfma(a, b, c))
#define MUTATED_vadd(n, a, b) (mutant == (n) ? msa_vsub(a, b) : msa_vadd(a, b))
#define MUTATED_vsub(n, a, b) (mutant == (n) ? msa_vadd(a, b) : msa_vsub(a, b))
#define MUTATED_vmul(n, a, b) (mutant == (n) ? msa_vadd(a, b) : msa_vmul(a, b))
#define MUTATED_vdiv(n, a, b) (mutant == (n) ? msa_vmul(a, b) : msa_vdiv(a, b))
#define MUTATED_vmax(n, a, b) (mutant == (n) ? msa_vadd(a, b) : msa_vmax(a, b))
#define MUTATED_fma(n, a, b, c) (mutant == (n) ? (a) + (c) : msa_fma(a, b, c))
#define MUTATED_sqrt(n, a) (mutant == (n) ? (a) : msa_sqrt(a))
]]

--- A file's text with each operation and each constant of its functions a choice; list as of `questioned`.
-- @param products multiply-adds of vectors alone
local function altered(text, file, list, products)
  local out, name, depth, inside = {}, nil, 0, false
  for line in text:gmatch "([^\n]*)\n" do
    local opens = line:match "^[%w_][%w_ %*]-([%w_]+)%("
    if opens and depth == 0 then name = opens end
    local opening = depth == 0
    local code = line:gsub('"[^"]*"', ""):gsub("/%*.-%*/", "")
    depth = depth + select(2, code:gsub("{", "")) - select(2, code:gsub("}", ""))
    inside = inside or line:find "^%s+enum {" or line:find "^%s+static " -- constants that need one
    local plain = not opening and depth > 0 and not inside and not line:find '["\\#]' and not line:find "/%*"
      and not line:find "%w%[%d+%]"
    if inside and line:find ";%s*$" then inside = false end
    local function number(what)
      list[#list + 1] = { file = file, name = name, text = line:match("^%s*(.*)$") .. "  -- " .. what }
      return ("%du"):format(#list)
    end
    if plain and not products then
      line = line:gsub("([ %(,])(%d+)(%f[,;%)%s])", function(before, digits, after)
        if #digits > 1 and digits:sub(1, 1) == "0" or tonumber(digits) < 2 then return nil end
        return ("%s(mutant == %s ? %d : %s)%s"):format(before, number(digits), digits + 16, digits, after)
      end)
      line = line:gsub(" ([+-]) (%f[%w_%(])", function(sign)
        return (" %s (mutant == %s ? 2 : 1) * "):format(sign, number(sign))
      end)
    end
    if plain then
      line = line:gsub("msa_(%l+)%(", function(operation)
        return (not products or operation == "vfma") and OPERATIONS:find("MUTATED_" .. operation .. "(", 1, true)
          and ("MUTATED_%s(%s, "):format(operation, number(operation)) or nil
      end)
    end
    out[#out + 1] = line
  end
  return table.concat(out, "\n") .. "\n"
end

-- Names of the functions that a file defines.
local function functions(text)
  local list = {}
  for name in text:gmatch "\n[%w_][%w_ %*]-([%w_]+)%([^;{}]-%)%s*\n{" do list[#list + 1] = name end
  return list
end

--- Build, make mutants by `change`, a function as `questioned`, run them.
-- @param unused set of files whose functions this model does not call, or nil
-- @return statements, survivors { number -> true }, functions { {file, name} }
local function mutants(device, dir, board, unused, change)
  device.board = board
  tiny.build(device, dir)
  local list, defined = {}, {}
  for _, file in ipairs(FILES) do
    local path = dir .. "/" .. file
    -- Some models alone have it; of what they have in another's stead the other models tell.
    local text = not (unused and unused[file]) and sys.exists(path) and sys.read_file(path) or ""
    for _, name in ipairs(functions(text)) do defined[#defined + 1] = { file = file, name = name } end
    if text ~= "" then sys.write_file(path, OPERATIONS .. change(text, file, list)) end
  end
  sys.write_file(work .. "/main.c", MAIN)
  tiny.must { "make", "-C", dir, "-j2", "CFLAGS=-O1 -w", "lib" }
  tiny.must { "gcc", "-std=c99", "-I", dir, "-o", dir .. "/mutants", work .. "/main.c", dir .. "/libmsa_model.a" }
  local survivors = {}
  for n in tiny.must({ dir .. "/mutants", dir .. "/msa_weights.bin", tostring(#list) }):gmatch "%d+" do
    survivors[tonumber(n)] = true
  end
  return list, survivors, defined
end

local boards = tiny.boards()
local cases = { { "adapted", boards[#boards].name, depth = 3 } }
if all then
  for _, name in ipairs { "adapted", "plain", "late", "broad", "wide", "places" } do
    cases[#cases + 1] = { name, boards[#boards].name,
      unused = name == "places" and { ["msa_image.c"] = true, ["msa_prompt.c"] = true } or nil }
  end
  cases[#cases + 1] = { "adapted", "generic-c99" }
end

local CHANGES = {
  { questioned, "leaves out", "statements missed when left out", EXEMPT },
  { altered, "computes otherwise", "operations and constants missed when changed",
    table.move(EXEMPT, 1, #EXEMPT, #STILL + 1, STILL) },
}

local function check(case, change)
  describe(("the self-test of %s on %s"):format(case[1], case[2]), function()
    local device = tiny.device(work, case[1])
    device.depth = case.depth
    local list, survivors, defined = mutants(device,
      ("%s/%s-%s-%s"):format(work, case[1], case.depth or 1, case[2]), case[2], case.unused, change[1])
    it("passes where it " .. change[2] .. " nothing", function() assert(survivors[0]) end)
    local count, missed, noticed = {}, {}, 0
    for n, m in ipairs(list) do
      count[m.name] = (count[m.name] or 0) + 1
      if survivors[n] then missed[m.name] = (missed[m.name] or 0) + 1 else noticed = noticed + 1 end
      if survivors[n] and all and not exempt(m.name, change[4]) then
        print(("  not missed: %s: %s: %s"):format(m.file, m.name, m.text))
      end
    end
    it("notices what each function " .. change[2], function()
      local bad, exempted = {}, {}
      for _, f in ipairs(defined) do
        local why = exempt(f.name, change[4])
        if why then exempted[#exempted + 1] = f.name
        elseif count[f.name] and count[f.name] == (missed[f.name] or 0) then
          bad[#bad + 1] = f.file .. ": " .. f.name
        end
        if why and all then print(("  exempt: %s: %s"):format(f.name, why)) end
      end
      if all then
        print(("  %d functions, %d exempt; %d of %d %s"):format(#defined, #exempted, noticed, #list, change[3]))
      end
      assert(#defined > 60 and #list > 300, "too little was found to leave out")
      assert(#bad == 0, "not noticed: " .. table.concat(bad, ", "))
    end)
  end)
end

-- Below the full tier operations are changed in the demo alone, whose multiply-adds are looked at below.
for _, change in ipairs(all and CHANGES or { CHANGES[1] }) do
  for _, case in ipairs(cases) do check(case, change) end
end

describe("the self-test of the demo", function()
  it("notices each multiply-add that does not multiply", function()
    local device = { checkpoint = msagen.datadir .. "/demo/fetal-head/checkpoint.safetensors", dialect = "msa-paper" }
    local list, survivors = mutants(device, work .. "/demo", boards[#boards].name, nil, function(text, file, list_of)
      return altered(text, file, list_of, true)
    end)
    assert(survivors[0] and #list > 500, "too little was found to change")
    for n, m in ipairs(list) do
      -- Norms have code for rows that are left over, which this model has not, and some weights that are 1.
      assert(not survivors[n] or m.name:match "^msa_layernorm_f32_%d+$", ("%s: %s"):format(m.name, m.text))
    end
  end)
end)
