package firmware

import "encoding/binary"

// Interrupt vectors and handlers in real mode, where IBM's BIOS has them: every vector names an IRET, the interrupts of the 8259 pair a
// handler that acknowledges them, and the timer's one that counts the ticks of the day. BIOS services are not offered.
const (
	ivtAddr    = 0
	ivtVectors = 256

	handlersAddr = 0xfe000 // of the timer's handler, the others follow
	iretAddr     = 0xfff53
	romSegment   = 0xf000

	vecTimer, vecPIC1, vecPIC2 = 0x08, 0x08, 0x70
	picLines                   = 8
	vecUser                    = 0x60 // the first of the vectors for programs
	vecUserEnd                 = 0x67
)

// handlerTimer is INT 8: it counts in the BIOS data area (a day has 0x1800b0 ticks), tells INT 1Ch, and acknowledges.
var handlerTimer = []byte{
	0x50, 0x1e, 0x31, 0xc0, 0x8e, 0xd8, // push ax; push ds; xor ax,ax; mov ds,ax
	0x66, 0xff, 0x06, 0x6c, 0x04, // inc dword [0x46c]
	0x66, 0x81, 0x3e, 0x6c, 0x04, 0xb0, 0x00, 0x18, 0x00, // cmp dword [0x46c],0x1800b0
	0x72, 0x0d, // jb over
	0x66, 0xc7, 0x06, 0x6c, 0x04, 0, 0, 0, 0, // mov dword [0x46c],0
	0xfe, 0x06, 0x70, 0x04, // inc byte [0x470]
	0xcd, 0x1c, // over: int 0x1c
	0xb0, 0x20, 0xe6, 0x20, 0x1f, 0x58, 0xcf, // mov al,0x20; out 0x20,al; pop ds; pop ax; iret
}

// handlerPIC1 and handlerPIC2 acknowledge an interrupt of the first and the second controller.
var (
	handlerPIC1 = []byte{0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf}             // push ax; mov al,0x20; out 0x20,al; pop ax; iret
	handlerPIC2 = []byte{0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf} // … out 0xa0,al; out 0x20,al; …
	handlerNone = []byte{0xcf}
)

// addVectors writes the vector table and the handlers.
func (s *Setup) addVectors() {
	timer := uint32(handlersAddr)
	pic1 := timer + uint32(len(handlerTimer))
	pic2 := pic1 + uint32(len(handlerPIC1))
	code := append(append(append([]byte(nil), handlerTimer...), handlerPIC1...), handlerPIC2...)
	s.add("interrupt handlers", handlersAddr, code)
	s.add("interrupt return", iretAddr, handlerNone)

	table := make([]byte, 4*ivtVectors)
	for v := range uint32(ivtVectors) {
		at := uint32(iretAddr)
		switch {
		case v == vecTimer:
			at = timer
		case v-vecPIC1 < picLines:
			at = pic1
		case v-vecPIC2 < picLines:
			at = pic2
		case v >= vecUser && v < vecUserEnd:
			continue
		}
		binary.LittleEndian.PutUint32(table[4*v:], romSegment<<16|at-romSegment<<4)
	}
	s.add("interrupt vectors", ivtAddr, table)
}
