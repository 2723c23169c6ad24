package hostcpu

func cpuid(leaf, sub uint32) (r [4]uint32)
