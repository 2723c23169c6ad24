package pc

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/accel"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// FuzzMachine lets a guest access all that is on a machine's board. An operation has eight bytes: what it is, a size, and two numbers.
func FuzzMachine(f *testing.F) {
	op := func(what, size byte, addr uint16, v uint32) []byte {
		return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint16([]byte{what, size}, addr), v)
	}
	f.Add(uint8(0), append(op(0, 0, 0x70, 0x0f), op(1, 0, 0x71, 0)...))
	f.Add(uint8(1), append(op(4, 4, 31<<11|2<<8|0x24, 0xf0000000), op(4, 2, 31<<11|2<<8|4, 7)...)) // AHCI's registers
	f.Add(uint8(1), append(op(0, 1, 0x660, 0x800), op(6, 0, 0xffff, 0)...))                        // the watchdog
	f.Add(uint8(2), op(3, 2, 0, 0xfeb00000>>8))
	clock.Virtual.SetFake(0)
	f.Fuzz(func(t *testing.T, which uint8, script []byte) {
		var mem, io *memory.AddressSpace
		m, err := build(t, []string{"pc", "q35", "microvm"}[which%3], 1, func(c *Config) {
			c.NewAccel = func(m, ports *memory.AddressSpace, _ accel.Machine) (Accelerator, error) {
				mem, io = m, ports
				return idle{}, nil
			}
		})
		require.NoError(t, err)
		for n := 0; len(script) >= 8 && n < 500; n, script = n+1, script[8:] {
			size := 1 << (script[1] & 3 % 3)
			addr, v := uint64(binary.LittleEndian.Uint16(script[2:])), uint64(binary.LittleEndian.Uint32(script[4:]))
			mainloop.Lock.Lock()
			switch script[0] & 7 {
			case 0:
				io.Store(addr, size, v)
			case 1:
				io.Load(addr, size)
			case 2:
				mem.Store(v<<8|addr&0xfff, size, v)
			case 3:
				mem.Load(v<<8|addr&0xfff, size)
			case 4, 5: // a configuration register: function and register in one number
				io.Store(0xcf8, 4, 1<<31|addr&^3)
				if script[0]&1 == 0 {
					io.Store(0xcfc|addr&3, size, v)
				} else {
					io.Load(0xcfc|addr&3, size)
				}
			case 6:
				clock.Virtual.Advance(int64(addr) << (script[1] & 15))
			case 7:
				m.VM.RequestReset(mainloop.CauseGuestReset)
			}
			mainloop.Lock.Unlock()
			mainloop.Main.RunPending()
		}
	})
}
