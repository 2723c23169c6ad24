package nic

// KeySize is the length of a key for Hash in bytes.
const KeySize = 40

// Hash is the number by which frames are spread over queues (Intel 82574 datasheet, section 7.1.2.8; virtio 1.2, section 5.1.6.4.3): of the
// addresses and, if ports says so, the ports of TCP or UDP. With home a mobile node's own addresses stand for those that it has on its way.
// Preconditions: h is of b and has IP, and TCP or UDP if ports.
func (h *Headers) Hash(b []byte, key *[KeySize]byte, ports, home bool) uint32 {
	in := h.Addresses(b)
	if home && h.homeSource+h.homeDest != 0 {
		in = h.homeAddresses(b)
	}
	hash := toeplitz(0, key, 0, in)
	if ports {
		hash = toeplitz(hash, key, len(in), b[h.L4:h.L4+4])
	}
	return hash
}

// toeplitz adds data to a hash of at bytes.
func toeplitz(hash uint32, key *[KeySize]byte, at int, data []byte) uint32 {
	window := be.Uint32(key[at:])
	for i, v := range data {
		next := key[(at+i+4)%KeySize]
		for bit := range 8 {
			if v<<bit&0x80 != 0 {
				hash ^= window
			}
			window = window<<1 | uint32(next<<bit>>7)
		}
	}
	return hash
}
