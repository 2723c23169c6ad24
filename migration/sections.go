package migration

import (
	"encoding/json"
	"fmt"
	"strings"

	"goemu/hw/qdev"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/migration/ram"
	"goemu/migration/vmstate"
	"goemu/migration/wire"
)

// globalState is section "globalstate": what the source's machine was doing.
type globalState struct {
	size     uint32
	runState [100]byte
}

var globalSection = vmstate.Description[globalState]{
	Name: "globalstate", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[globalState]{
		vmstate.Of("size", func(g *globalState) *uint32 { return &g.size }),
		vmstate.Buffer("runstate", len(globalState{}.runState), func(g *globalState) []byte { return g.runState[:] }),
	},
	PostLoad: func(g *globalState, _ int) error {
		if s := g.state(); !mainloop.RunState(s).Valid() {
			return wire.Invalid("Parameter '(null)' does not accept value '%s'", s)
		}
		return nil
	},
}

func (g *globalState) set(s mainloop.RunState) { g.size = uint32(copy(g.runState[:], s)) + 1 }

func (g *globalState) state() string {
	s, _, _ := strings.Cut(string(g.runState[:len(g.runState)-1]), "\x00")
	return s
}

// sections lists the machine's state with the engine's own.
func (e *Engine) sections(g *globalState, load bool) []qdev.Section {
	return append(e.M.Sections(load), qdev.Section{Name: globalSection.Name, State: globalSection.Bind(g)})
}

// ramSection is the number of the section "ram", which is not 0, as QEMU takes that for a section that it has not seen; the machine's have
// the numbers from firstSection on.
const ramSection, firstSection = 2, 3

// beginPart writes the head of a part of the section "ram".
func beginPart(out *wire.Sink, kind uint8) {
	out.U8(kind)
	out.U32(ramSection)
	if kind == wire.SectionStart {
		out.Name(ram.Name)
		out.U32(0)
		out.U32(ram.Version)
	}
}

// putCommand writes a command.
func putCommand(out *wire.Sink, cmd uint16, data []byte) {
	out.U8(wire.Command)
	out.U16(cmd)
	out.U16(uint16(len(data)))
	out.Bytes(data)
}

func footer(out *wire.Sink, id uint32) {
	out.U8(wire.Footer)
	out.U32(id)
}

// putDescription writes what stands behind the end of a stream.
func putDescription(out *wire.Sink, text <-chan []byte) {
	desc := <-text
	out.U8(wire.VMDescription)
	out.U32(uint32(len(desc)))
	out.Bytes(desc)
}

// described is the description of a section behind the end of a stream.
type described struct {
	Name     string `json:"name"`
	Instance int    `json:"instance_id"`
	*vmstate.Node
}

// description is what stands behind the end of a stream.
type description struct {
	PageSize int         `json:"page_size"`
	Devices  []described `json:"devices"`
}

// saveSections returns all sections as the stream has them, and their description, as text when it is received.
// Preconditions: the machine is stopped and its lock is held.
func (e *Engine) saveSections(g *globalState) (state []byte, desc <-chan []byte) {
	var w vmstate.Writer
	d := description{PageSize: memory.PageSize, Devices: []described{}}
	for i, s := range e.sections(g, false) {
		l := s.State.Layout()
		w.U8(wire.SectionFull)
		w.U32(uint32(firstSection + i))
		w.U8(uint8(len(s.Name)))
		w.Raw([]byte(s.Name))
		w.U32(uint32(s.Instance))
		w.U32(uint32(l.Version))
		d.Devices = append(d.Devices, described{s.Name, s.Instance, vmstate.SaveDescribed(s.State, &w)})
		w.U8(wire.Footer)
		w.U32(uint32(firstSection + i))
	}
	text := make(chan []byte, 1)
	go func() { // a virtual CPU that stands still lends its processor
		b, err := json.Marshal(d)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		text <- b
	}()
	return w.Bytes(), text
}

// loadError is what went wrong with a section, and the lines that QEMU prints about it.
func loadError(name string, instance int, err error) error {
	return fmt.Errorf("%w\nerror while loading state for instance 0x%x of device '%s'", err, instance, name)
}
