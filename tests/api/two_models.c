/* SPDX-License-Identifier: Apache-2.0 */
/* Two models in one program: `--prefix` keeps their names apart. Compiles and links; sizes of both are seen. */
#include "left_model.h"
#include "right_model.h"

#include <stdio.h>

int main(void)
{
    left_session l = {0};
    right_session r = {0};
    const left_status a = left_open(&l, NULL, LEFT_MODEL_ARENA_BYTES, NULL, LEFT_MODEL_WEIGHTS_BYTES);
    const right_status b = right_open(&r, NULL, RIGHT_MODEL_ARENA_BYTES, NULL, RIGHT_MODEL_WEIGHTS_BYTES);
    printf("%d %d\n", (int)a, (int)b);
    return a == LEFT_E_ARGUMENT && b == RIGHT_E_ARGUMENT ? 0 : 1;
}
