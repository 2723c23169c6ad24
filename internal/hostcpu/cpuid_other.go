//go:build !amd64

package hostcpu

func cpuid(_, _ uint32) (r [4]uint32) { return r }
