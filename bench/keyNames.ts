/** keyNames: the keys of a large bucket, as people name files; in order of their index. */
export const keyOf = (index: number): string => `photos/2026/holiday/image-${String(index).padStart(9, "0")}-edit.jpg`
