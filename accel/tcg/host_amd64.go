package tcg

const hostHasTSC = true

// hostTSC reads the host's time stamp counter.
func hostTSC() uint64

// cas16 compares and swaps 16 aligned bytes at a host address indivisibly; it returns what was there.
func cas16(addr uintptr, oldLo, oldHi, newLo, newHi uint64) (lo, hi uint64)
