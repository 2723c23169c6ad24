package x86

import "math/bits"

// APICID is the APIC identifier of CPU number n: thread, core, die and socket in bit fields just wide enough each (Intel SDM volume 3,
// section 9.9).
func (t Topology) APICID(n int) uint32 {
	id, shift := 0, 0
	for _, size := range [...]int{max(t.Threads, 1), max(t.Cores, 1), max(t.Dies, 1)} {
		id |= n % size << shift
		shift += bits.Len(uint(size - 1))
		n /= size
	}
	return uint32(id | n<<shift)
}
