package uicmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"goemu/internal/mainloop"
	"goemu/internal/monitor/hmp"
	"goemu/qapi"
	"goemu/ui/input"
)

// QueryMice implements qapi.UiCommands. The device in use comes last.
func (s *Service) QueryMice(context.Context) (list []*qapi.MouseInfo, err error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	for _, m := range s.Input.Mice() {
		list = append(list, &qapi.MouseInfo{Name: m.Name, Index: int64(m.ID), Current: m.Current, Absolute: m.Absolute})
	}
	slices.Reverse(list)
	return list, nil
}

func keyOf(k *qapi.KeyValue) input.Key {
	if k.Type == qapi.KeyValueKindNumber {
		return input.Number(int(k.Number.Data))
	}
	return input.Find(string(k.Qcode.Data))
}

// SendKey implements qapi.UiCommands.
func (s *Service) SendKey(_ context.Context, arg *qapi.SendKeyArg) error {
	hold := int64(0)
	if arg.HoldTime != nil {
		hold = *arg.HoldTime
	}
	var list []input.Key
	for _, k := range arg.Keys {
		list = append(list, keyOf(k))
	}
	s.press(list, hold)
	return nil
}

// press presses keys one after the other and lets them go in the opposite order.
func (s *Service) press(list []input.Key, hold int64) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	for _, k := range list {
		s.Input.SendKey(nil, k, true)
		s.Input.Pause(hold)
	}
	for _, k := range slices.Backward(list) {
		s.Input.SendKey(nil, k, false)
		s.Input.Pause(hold)
	}
}

var axes = map[qapi.InputAxis]input.Axis{qapi.InputAxisX: input.AxisX, qapi.InputAxisY: input.AxisY}

// event is an event as devices take it.
func event(e *qapi.InputEvent) input.Event {
	switch e.Type {
	case qapi.InputEventKindKey:
		return input.Event{Kind: input.KindKey, Key: keyOf(e.Key.Data.Key), Down: e.Key.Data.Down}
	case qapi.InputEventKindBtn:
		b := slices.Index(input.ButtonNames[:], string(e.Btn.Data.Button))
		return input.Event{Kind: input.KindButton, Button: input.Button(b), Down: e.Btn.Data.Down}
	case qapi.InputEventKindRel:
		return input.Event{Kind: input.KindRel, Axis: axes[e.Rel.Data.Axis], Value: int(int32(e.Rel.Data.Value))}
	}
	return input.Event{Kind: input.KindAbs, Axis: axes[e.Abs.Data.Axis], Value: int(int32(e.Abs.Data.Value))}
}

// InputSendEvent implements qapi.UiCommands.
func (s *Service) InputSendEvent(_ context.Context, arg *qapi.InputSendEventArg) error {
	var screen any
	if arg.Device != nil {
		head := 0
		if arg.Head != nil {
			head = int(*arg.Head)
		}
		c, err := s.find(*arg.Device, head)
		if err != nil {
			return err
		}
		screen = c
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	if !s.Input.Running() {
		return errors.New("VM not running")
	}
	var list []input.Event
	for _, e := range arg.Events {
		v := event(e)
		if !s.Input.Takes(v.Kind, screen) {
			return fmt.Errorf("Input handler not found for event type %s", v.Kind)
		}
		list = append(list, v)
	}
	for _, e := range list {
		if e.Kind == input.KindKey {
			s.Input.SendKey(screen, e.Key, e.Down)
		} else {
			s.Input.Send(screen, e)
		}
	}
	s.Input.Sync()
	return nil
}

// hmpSendkey is the command sendkey.
func (s *Service) hmpSendkey(_ *hmp.Monitor, a *hmp.Args) error {
	var list []input.Key
	for _, name := range strings.Split(a.Text("keys"), "-") {
		if name == "<" {
			name = "less"
		}
		k := input.Find(name)
		if hex, ok := strings.CutPrefix(name, "0x"); ok {
			n, err := strconv.ParseUint(hex, 16, 32)
			if err != nil {
				return fmt.Errorf("invalid parameter: %s", name)
			}
			k = input.Number(int(n))
		} else if k == input.KeyUnmapped && name != k.String() {
			return fmt.Errorf("invalid parameter: %s", name)
		}
		list = append(list, k)
	}
	s.press(list, a.Int("hold-time"))
	return nil
}

// number reads a number as C does; what is none is 0.
func number(s string) int {
	n, _ := strconv.ParseInt(s, 0, 32)
	return int(n)
}

// hmpMouseMove is the command mouse_move.
func (s *Service) hmpMouseMove(_ *hmp.Monitor, a *hmp.Args) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	r := s.Input
	r.Rel(nil, input.AxisX, number(a.Text("dx_str")))
	r.Rel(nil, input.AxisY, number(a.Text("dy_str")))
	if dz := number(a.Text("dz_str")); dz != 0 {
		b := input.WheelUp
		if dz < 0 {
			b = input.WheelDown
		}
		r.Send(nil, input.Event{Kind: input.KindButton, Button: b, Down: true})
		r.Sync()
		r.Send(nil, input.Event{Kind: input.KindButton, Button: b})
	}
	r.Sync()
	return nil
}

// monitorButtons are the buttons' bits in the command mouse_button.
var monitorButtons = map[input.Button]uint32{input.Left: 1, input.Right: 2, input.Middle: 4}

// hmpMouseButton is the command mouse_button.
func (s *Service) hmpMouseButton(_ *hmp.Monitor, a *hmp.Args) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	now := uint32(a.Int("button_state"))
	if now == s.buttons {
		return nil
	}
	s.Input.Buttons(nil, monitorButtons, s.buttons, now)
	s.Input.Sync()
	s.buttons = now
	return nil
}

// hmpMouseSet is the command mouse_set.
func (s *Service) hmpMouseSet(_ *hmp.Monitor, a *hmp.Args) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	name, found, mouse := s.Input.Choose(int(a.Int("index")))
	switch {
	case !found:
		return fmt.Errorf("Mouse at index '%d' not found", a.Int("index"))
	case !mouse:
		return fmt.Errorf("Input device '%s' is not a mouse", name)
	}
	return nil
}

// hmpMice is the command info mice.
func (s *Service) hmpMice(m *hmp.Monitor, _ *hmp.Args) error {
	list, err := s.QueryMice(m.Context())
	if len(list) == 0 {
		m.Printf("No mouse devices connected\n")
	}
	for _, i := range list {
		mark, abs := ' ', ""
		if i.Current {
			mark = '*'
		}
		if i.Absolute {
			abs = " (absolute)"
		}
		m.Printf("%c Mouse #%d: %s%s\n", mark, i.Index, i.Name, abs)
	}
	return err
}

func keyNames(_ *hmp.Monitor, words []string) (list []string) {
	if len(words) != 2 {
		return nil
	}
	before := words[1][:strings.LastIndex(words[1], "-")+1]
	for _, v := range qapi.FindType("QKeyCode").Values {
		list = append(list, before+v.Name)
	}
	return list
}

// inputCommands are the commands for people about input, and those of info.
func (s *Service) inputCommands() (commands, info []*hmp.Command) {
	return []*hmp.Command{
			{Name: "sendkey", Args: "keys:s,hold-time:i?", Params: "keys [hold_ms]", Help: "send keys to the VM (e.g. 'sendkey ctrl-alt-f1', default hold time=100 ms)",
				Run: s.hmpSendkey, Complete: keyNames},
			{Name: "mouse_move", Args: "dx_str:s,dy_str:s,dz_str:s?", Params: "dx dy [dz]", Help: "send mouse move events", Run: s.hmpMouseMove},
			{Name: "mouse_button", Args: "button_state:i", Params: "state", Help: "change mouse button state (1=L, 2=M, 4=R)", Run: s.hmpMouseButton},
			{Name: "mouse_set", Args: "index:i", Params: "index", Help: "set which mouse device receives events", Run: s.hmpMouseSet},
		}, []*hmp.Command{
			{Name: "mice", Help: "show which guest mouse is receiving events", Run: s.hmpMice},
		}
}
