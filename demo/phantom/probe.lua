-- SPDX-License-Identifier: Apache-2.0
-- A curved probe before the fetal-head network, for this computer and for two microcontrollers:
-- ./quickstart phantom builds and runs all three. What the probe gives is made by msagen phantom.
local frontend = { kind = "ultrasound", format = "rf", lines = 96, samples = 2400, fs = 20e6, c = 1540, f0 = 3.5e6,
  remove_dc = true, offset = 37, attenuation_db_mm = 0.35, tgc = { { 0, 0 }, { 30, 12 }, { 92, 30 } },
  band = { 1.2e6, 2.0e6, 5.0e6, 5.8e6 }, decimate = 4, ref = 900, dynamic_range_db = 55, gamma = 0.9,
  geometry = { kind = "curved", radius = 60, line_step_deg = 0.63 },
  image = { width = 256, height = 256, x0 = -77.3, z0 = -9.7, dx = 0.6023, dz = 0.4133 } }

local devices = {}
for _, board in ipairs { "generic-c99", "cortex-m7", "cortex-m55" } do
  devices[#devices + 1] = { name = board, board = board, dialect = "msa-paper", frontend = frontend,
    checkpoint = "../fetal-head/checkpoint.safetensors" }
end
return devices
