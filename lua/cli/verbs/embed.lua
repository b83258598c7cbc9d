-- SPDX-License-Identifier: Apache-2.0
-- msagen embed --clip FILE [options] PHRASE... -o FILE.safetensors: text prompts by CLIP's text encoder.
local fail = require "support.fail"
local layout = require "support.layout"
local names = require "import.names"

local verb = {}

function verb.setup(command)
  command:argument("phrase", "A text, as \"optic disc\". Each becomes a prompt of its name."):argname "PHRASE":args "+"
  command:option("--clip",
    "CLIP's checkpoint: OpenAI's (a TorchScript file), open_clip's, or transformers'."):argname "FILE"
  command:option("--projection",
    "A matrix [t,E] from embeddings of E numbers to prompts of t, the width of the model that they are for. Without "
    .. "it prompts are the embeddings, of length 1."):argname "FILE"
  command:option("--heads", "Heads of the encoder, where no file tells: of widths below 512 without a config.json.")
    :argname "N":convert(require("cli.prompt_options").whole(1, 1024))
  command:option("--activation", "quick-gelu or gelu, where no file tells: of state dicts without a config.")
    :argname "NAME":choices { "quick-gelu", "gelu" }
  command:flag("--tokens", "Print the tokens of each PHRASE, a line each. A PHRASE may be tokens itself, the end's "
    .. "among them: \"49406 24755 10712 49407\". Neither --clip nor -o is needed then.")
  require("cli.device_options").of_set(command)
  command:option("-o --output", "The file to write: what build takes as --text-prompts.")
    :argname "FILE.safetensors"
end

local function usage(text)
  require("support.terminal").say("error", text .. "; see msagen embed --help")
  return 2
end

-- A phrase that is tokens, with the last one's among them; nil of other phrases.
local function as_tokens(phrase, m)
  local list, last = {}, m and (m.last or m.vocabulary - 1) or 49407
  local ends = false
  for word in phrase:gsub("[%[%],]", " "):gmatch "%S+" do
    local token = word:find "^%d+$" and #word < 10 and math.tointeger(tonumber(word))
    if not token then return nil end
    ends, list[#list + 1] = ends or token == last, token
  end
  return ends and #list > 1 and list or nil
end

-- Tokens that the encoder has, no more than it can take.
local function check_tokens(list, phrase, m)
  for _, token in ipairs(list) do
    if token >= m.vocabulary then
      fail("%s: expected tokens from 0 to %d, as many as %s has, found %d", names.show(phrase), m.vocabulary - 1,
        m.path, token)
    end
  end
  if require("text.embedding").end_of(m, list) > m.context then
    fail("%s: expected an end within %d tokens, found it after them", names.show(phrase), m.context)
  end
end

-- The tokens of a text, of which the encoder takes no more than its context.
local function tokenised(phrase, m)
  local tokeniser = require "text.tokeniser"
  local count = tokeniser.count()
  if m and m.vocabulary ~= count then
    fail("%s: %s: expected %d rows, one for each token of CLIP's tokeniser, found %d: another tokeniser's; with "
      .. "--tokens a PHRASE may be its tokens", m.path, "token_embedding.weight", count, m.vocabulary)
  end
  if m and m.last and m.last ~= tokeniser.last then
    fail("%s: eos_token_id: expected %d, the end's token of CLIP's tokeniser, found %d", m.path, tokeniser.last, m.last)
  end
  local context = m and m.context or tokeniser.context
  local list, found = tokeniser.tokens(phrase, context)
  if found > context then
    require("cli.progress").warn(("%s: %d tokens; the first %d and the end's are taken, what follows is not in the "
      .. "prompt"):format(names.show(phrase), found, context - 1))
  end
  return list
end

local function tokens_of(args, m)
  local lists = {}
  for i, phrase in ipairs(args.phrase) do
    local list = args.tokens and as_tokens(phrase, m)
    if list and m then check_tokens(list, phrase, m) end
    lists[i] = list or tokenised(phrase, m)
  end
  return lists
end

local function write(args, m, lists)
  local clip, embedding = require "import.clip", require "text.embedding"
  require("import.text").check_names(args.output, args.phrase, "PHRASE")
  local projection = args.projection and clip.projection(args.projection, m)
  local show, finish = require "cli.progress"()
  local found = embedding.of(m, lists, show)
  finish()
  local prompts = embedding.prompts(found, projection)
  m.ckpt:unchanged()
  require("text.file").write(args.output, args.phrase, { { "prompts", prompts }, { "embeddings", found } })
  if not args.tokens then
    local text = ("%d prompts of width %d; encoder of %s%s"):format(#lists, prompts.shape[2], clip.spoken(m),
      projection and "" or "; without --projection they are embeddings of length 1")
    local lines = layout.hanging(args.output .. ": ", text, require("support.terminal").columns(), 2)
    io.stdout:write(table.concat(lines, "\n"), "\n")
  end
end

function verb.run(args)
  if args.output and not args.clip then return usage "--clip: expected a file, found none" end
  if not args.output and not args.tokens then return usage "-o: expected a file, found none" end
  if args.projection and not args.output then return usage "--projection: expected with -o, found without" end
  local m = args.clip and require("import.clip").load(args.clip, { heads = args.heads, weights_key = args.weights_key,
    activation = args.activation and args.activation:gsub("-", "_") })
  local lists = tokens_of(args, m)
  if args.output then write(args, m, lists) end
  for _, list in ipairs(args.tokens and lists or {}) do io.stdout:write(table.concat(list, " "), "\n") end
  return 0
end

return verb
