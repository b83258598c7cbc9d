-- SPDX-License-Identifier: Apache-2.0
--- How a training went: a row a step as CSV, and a chart of loss and Dice as a picture. Both follow from the history
-- alone.
local csv = require "evaluate.csv"
local raster = require "report.raster"

local curve = {}

local WIDTH, HEIGHT, SCALE = 1000, 600, 2
local LEFT, RIGHT, TOP, BOTTOM = 110, 80, 56, 64 -- around the plot
local WHITE, INK, GRID, LIGHT = { 255, 255, 255 }, { 40, 40, 40 }, { 225, 225, 225 }, { 170, 200, 235 }
local BLUE, ORANGE = { 20, 90, 170 }, { 215, 95, 10 }

local function number(value) return value and ("%.9g"):format(value) or "" end

--- The CSV: step, loss, learning_rate, gradient_norm and, of steps with a validation, its Dice and IoU.
-- @param run { history = list of { loss, rate, norm }, validations = list of { step, clicks, dice, iou } }
function curve.csv(run)
  local header, clicks = { "step", "loss", "learning_rate", "gradient_norm" }, run.validations[1]
    and run.validations[1].clicks or {}
  for _, count in ipairs(clicks) do
    header[#header + 1], header[#header + 2] = ("dice_%s"):format(count), ("iou_%s"):format(count)
  end
  local lines, of_step = { csv.line(header) }, {}
  for _, found in ipairs(run.validations) do of_step[found.step] = found end
  for step, line in ipairs(run.history) do
    local row, found = { step, number(line[1]), number(line[2]), number(line[3]) }, of_step[step]
    for k in ipairs(clicks) do
      row[#row + 1], row[#row + 2] = number(found and found.dice[k]), number(found and found.iou[k])
    end
    lines[#lines + 1] = csv.line(row)
  end
  return table.concat(lines)
end

-- A step of 1, 2 or 5 times a power of ten that cuts a range into few parts.
local function nice(range, parts)
  local rough, power = math.max(range / parts, 1e-300), 1.0
  while power > rough do power = power / 10 end
  while power * 10 <= rough do power = power * 10 end
  for _, times in ipairs { 1, 2, 5 } do
    if rough <= times * power * (1 + 1e-9) then return times * power end
  end
  return 10 * power
end

-- The axis of values: low, high and step, with low at a multiple of the step.
local function axis(low, high)
  if not (high > low) then low, high = low - math.abs(low) / 2 - 0.5, high + math.abs(high) / 2 + 0.5 end
  local step = nice(high - low, 6)
  return math.floor(low / step) * step, math.ceil(high / step) * step, step
end

local function place(value, low, high, from, to)
  return math.tointeger(math.floor(from + (value - low) / (high - low) * (to - from) + 0.5))
end

local function label(value, step)
  if math.abs(value) < step / 1000 then return "0" end
  return ("%.6g"):format(value)
end

-- The losses of each column of pixels: { low, high, mean }.
local function columns_of(history, at)
  local columns, order = {}, {}
  for step, line in ipairs(history) do
    local x, loss = at(step), line[1]
    local c = columns[x]
    if not c then
      c = { x = x, low = loss, high = loss, sum = 0.0, n = 0 }
      columns[x], order[#order + 1] = c, c
    end
    c.low, c.high, c.sum, c.n = math.min(c.low, loss), math.max(c.high, loss), c.sum + loss, c.n + 1
  end
  return order
end

-- Means over neighbours, a twentieth of all on either side.
local function smoothed(values)
  local reach, list = #values // 20, {}
  for i = 1, #values do
    local sum, n = 0.0, 0
    for k = math.max(1, i - reach), math.min(#values, i + reach) do sum, n = sum + values[k], n + 1 end
    list[i] = sum / n
  end
  return list
end

local function grid(canvas, low, high, step)
  for k = 0, math.tointeger(math.floor((high - low) / step + 0.5)) do
    local value = low + k * step
    local y = place(value, low, high, HEIGHT - BOTTOM, TOP)
    canvas:line(LEFT, y, WIDTH - RIGHT, y, GRID, 1)
    local text = label(value, step)
    canvas:text(LEFT - 10 - raster.width_of(text, SCALE), y - 7, text, BLUE, SCALE)
  end
end

local function foot(canvas, steps, at)
  local step = math.max(1, math.tointeger(nice(steps, 8)) or 1)
  for value = 0, steps, step do
    local text = ("%d"):format(value)
    canvas:line(at(value), HEIGHT - BOTTOM, at(value), HEIGHT - BOTTOM + 6, INK, 2)
    canvas:text(at(value) - raster.width_of(text, SCALE) // 2, HEIGHT - BOTTOM + 12, text, INK, SCALE)
  end
  canvas:text(WIDTH // 2 - raster.width_of("step", SCALE) // 2, HEIGHT - 24, "step", INK, SCALE)
end

local function draw_losses(canvas, history, at)
  local columns = columns_of(history, at)
  local low, high, means = math.huge, -math.huge, {}
  for i, c in ipairs(columns) do
    low, high, means[i] = math.min(low, c.low), math.max(high, c.high), c.sum / c.n
  end
  local from, to, step = axis(low, high)
  local function y(value) return place(value, from, to, HEIGHT - BOTTOM, TOP) end
  grid(canvas, from, to, step)
  local smooth = smoothed(means)
  for i, c in ipairs(columns) do
    canvas:line(c.x, y(c.low), c.x, y(c.high), LIGHT, 2)
    if i > 1 then canvas:line(columns[i - 1].x, y(means[i - 1]), c.x, y(means[i]), LIGHT, 2) end
  end
  for i = 2, #columns do canvas:line(columns[i - 1].x, y(smooth[i - 1]), columns[i].x, y(smooth[i]), BLUE, 3) end
end

local function draw_dice(canvas, run, at)
  local function y(value) return place(value, 0, 1, HEIGHT - BOTTOM, TOP) end
  for tenth = 0, 10, 2 do
    canvas:text(WIDTH - RIGHT + 12, y(tenth / 10) - 7, ("%.1f"):format(tenth / 10), ORANGE, SCALE)
  end
  for i, found in ipairs(run.validations) do
    for k, dice in ipairs(found.dice) do
      local x, before = at(found.step), run.validations[i - 1]
      if before then canvas:line(at(before.step), y(before.dice[k]), x, y(dice), ORANGE, 2) end
      canvas:box(x - 4, y(dice) - 4, 9, 9, ORANGE)
    end
  end
  if run.best then canvas:line(at(run.best.step), TOP, at(run.best.step), HEIGHT - BOTTOM, ORANGE, 1) end
end

local function title(canvas, run)
  local last = run.history[#run.history]
  canvas:text(LEFT, 20, ("loss, last %.4g"):format(last[1]), BLUE, SCALE)
  if not run.best then return end
  local text = ("Dice, best %.4f at step %d"):format(run.best.score, run.best.step)
  canvas:text(WIDTH - RIGHT - raster.width_of(text, SCALE), 20, text, ORANGE, SCALE)
end

--- The chart, u8 [600,1000,3]: losses in blue (each step light, the mean over neighbours dark) by the left axis, Dice
-- of the validations in orange by the right one.
function curve.picture(run)
  local canvas = raster.new(WIDTH, HEIGHT, WHITE)
  local steps = math.max(1, #run.history)
  local function at(step) return place(step, 0, steps, LEFT, WIDTH - RIGHT) end
  if #run.history > 0 then
    draw_losses(canvas, run.history, at)
    title(canvas, run)
  end
  if #run.validations > 0 then draw_dice(canvas, run, at) end
  foot(canvas, steps, at)
  canvas:line(LEFT, TOP, LEFT, HEIGHT - BOTTOM, INK, 2)
  canvas:line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, INK, 2)
  return canvas:picture()
end

return curve
