package nic

import (
	"encoding/binary"

	"goemu/internal/netdev"
)

// PutSum writes the checksum of the bytes from start to end, zero for the last one, to at.
func PutSum(b []byte, at, start, end int) {
	n := len(b)
	if end != 0 && end < n {
		n = end + 1
	}
	if at >= n-1 {
		return
	}
	sum := uint16(0xffff)
	if start < n {
		if sum = netdev.Fold(netdev.Sum(0, b[start:n])); sum == 0 {
			sum = 0xffff
		}
	}
	binary.BigEndian.PutUint16(b[at:], sum)
}

// Count adds one to a statistic, which stays at its largest value.
func Count(reg *uint32) {
	if *reg != 0xffffffff {
		*reg++
	}
}

// CountBytes adds to a statistic of 64 bits.
func CountBytes(low, high *uint32, n int) {
	v := uint64(*high)<<32 | uint64(*low)
	if v+uint64(n) < v {
		v = ^uint64(0)
	} else {
		v += uint64(n)
	}
	*low, *high = uint32(v), uint32(v>>32)
}

// CountSize counts a frame by its size in one of six registers: 64 bytes, up to 127, 255, 511, 1023, and more.
func CountSize(regs []uint32, n int) {
	switch {
	case n > 1023:
		Count(&regs[5])
	case n > 511:
		Count(&regs[4])
	case n > 255:
		Count(&regs[3])
	case n > 127:
		Count(&regs[2])
	case n > 64:
		Count(&regs[1])
	case n == 64:
		Count(&regs[0])
	}
}

// IsBroadcast tells whether a frame is for everybody.
func IsBroadcast(frame []byte) bool {
	return [6]byte(frame) == [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
}
