-- SPDX-License-Identifier: Apache-2.0
--- The paper's tables 1 to 3 (data/published): number for number as printed, and which class and metric each column is.
local csv = require "evaluate.csv"
local closed = require "support.closed"

local published = {}

--- What is said wherever a published number stands.
published.MARK = "†"
published.NOTE = "published by the authors on other data; not measured here"

-- For each table its file, the factor that brings 0 to 1 to its unit, and names that data sets have for its columns
-- beside the column's own. (Table 1 has IVC, and Postc. where AMOS has prostate or uterus: AMOS's postcava is the IVC.)
local ORGANS = {
  ["R.Kid"] = { "right kidney", "kidney right" }, ["L.Kid"] = { "left kidney", "kidney left" },
  ["Gall."] = { "gallbladder", "gall bladder" }, ["Eso."] = { "esophagus", "oesophagus" },
  ["Stom."] = { "stomach" }, Aorta = { "arota" }, IVC = { "postcava", "inferior vena cava" },
  ["Panc."] = { "pancreas" }, RAG = { "right adrenal gland", "adrenal gland right" },
  LAG = { "left adrenal gland", "adrenal gland left" }, ["Duo."] = { "duodenum" },
  ["Blad."] = { "bladder", "urinary bladder" }, Veins = { "portal vein and splenic vein", "veins" },
  AG = { "adrenal glands" },
}
local TABLES = {
  amos = { file = "table1_amos_dice.csv", scale = 1, names = ORGANS, caption = "AMOS, table 1 of the paper" },
  btcv = { file = "table2_btcv_dice.csv", scale = 1, names = ORGANS, caption = "BTCV, table 2 of the paper" },
  modalities = { file = "table3_modalities.csv", scale = 100, caption = "three modalities, table 3 of the paper",
    names = { optic_cup = { "cup" }, brain_tumor = { "brain tumour", "tumor", "tumour", "whole tumor" },
      thyroid_nodule = { "nodule", "thyroid" } } },
}

published.names = closed.sorted(TABLES)

local function plain(name) return (name:lower():gsub("[^%w]", "")) end

-- A column's class and metric by its header.
local function column_of(header, names)
  if header == "Avg" or header == "Ave" then return { title = header, metric = "dice", average = true } end
  local class, metric = header:match "^(.+)_(%w+)$"
  class, metric = class or header, metric or "dice"
  local known = { [plain(class)] = true }
  for _, name in ipairs(names[class] or {}) do known[plain(name)] = true end
  return { title = header, metric = metric, known = known }
end

--- A table by its name.
-- @return { caption, scale, columns = { { title, metric, average or is(class name) -> boolean }... }, rows = { {
--   method, texts... }... }: an empty text where nothing is printed }
function published.read(name)
  local about = TABLES[name]
  local path = ("%s/data/published/%s"):format(msagen.datadir, about.file)
  local rows = csv.rows(require("msagen.sys").read_file(path), path)
  local made = { caption = about.caption, scale = about.scale, columns = {}, rows = {} }
  for i = 2, #rows[1] do
    local column = column_of(rows[1][i], about.names)
    function column.is(class) return column.known ~= nil and column.known[plain(class)] == true end
    made.columns[i - 1] = column
  end
  for i = 2, #rows do made.rows[i - 1] = rows[i] end
  return made
end

return published
