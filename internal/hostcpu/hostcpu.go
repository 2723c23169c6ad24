// Package hostcpu asks the CPU that the program runs on what it can do. It knows no guest and no code generator.
package hostcpu

// Leaves of CPUID.
const (
	LeafFeatures    = 1
	LeafExtFeatures = 7
	LeafXSAVE       = 0xd
	LeafExtended    = 0x80000000 // the extended leaves start here
	LeafExtFlags    = 0x80000001
)

// CPUID gives the four registers of a leaf; zeros if the CPU has no such leaf or is none of the x86 family.
func CPUID(leaf, sub uint32) (r [4]uint32) {
	if top := cpuid(leaf&LeafExtended, 0)[0]; leaf > top {
		return r
	}
	return cpuid(leaf, sub)
}
