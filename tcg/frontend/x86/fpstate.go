package x86

// fpState is what is known about the x87 stack within a block.
type fpState struct {
	known bool // top is the guest's (after a check in this block)
	mmx   bool // the tags are all valid and top is 0
	top   uint8

	valid, empty uint8 // physical registers known not to be, and to be, empty: bits
}
