package main

import "time"

const monitorGroup = "qmp"

// monitorWork is a command that is asked for again and again, each time after the reply to the one before.
type monitorWork struct {
	name, command string
	times         int
}

func (w monitorWork) String() string { return w.name }

var monitorWorks = []monitorWork{
	{"qmp-status", `{"execute": "query-status"}`, 5000},
	{"qmp-commands", `{"execute": "query-commands"}`, 500},
	{"qmp-error", `{"execute": "chardev-remove", "arguments": {"id": "nosuch"}}`, 5000},
}

// monitors measures round trips of QMP over a unix socket.
func monitors(o options, s *setup, pair [2]*emulator) (rows []row, err error) {
	for _, w := range monitorWorks {
		if !o.selected(w.name, monitorGroup) {
			continue
		}
		r := row{Name: w.name, Group: monitorGroup}
		for i, into := range []*float64{&r.QEMU, &r.Goemu} {
			if *into, err = w.best(pair[i], s.dir, max(o.runs, 1)); err != nil {
				return nil, err
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// best is the best time of one emulator for all round trips.
func (w monitorWork) best(e *emulator, dir string, runs int) (best float64, err error) {
	m, err := launch(e, dir, "monitor", "-M", "none")
	if err != nil {
		return 0, err
	}
	defer m.close()
	for range runs {
		start := time.Now()
		for range w.times {
			if _, err := m.c.Write([]byte(w.command)); err != nil {
				return 0, err
			}
			if _, err := m.in.ReadSlice('\n'); err != nil {
				return 0, err
			}
		}
		if d := float64(time.Since(start)); best == 0 || d < best {
			best = d
		}
	}
	return best, nil
}
