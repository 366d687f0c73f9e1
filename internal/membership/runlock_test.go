package membership

import "testing"

func TestSameHolder(t *testing.T) {
	h := Holder{Host: "h", Machine: "m", Boot: "b", Folder: "/f", PID: 1}
	nameless := Holder{Host: "h", Boot: "b", Folder: "/f", PID: 1}
	with := func(h Holder, change func(*Holder)) Holder { change(&h); return h }
	for _, c := range []struct {
		what string
		a, b Holder
		same bool
	}{
		{"another process", h, with(h, func(h *Holder) { h.PID = 2 }), true},
		{"after a start of the machine", h, with(h, func(h *Holder) { h.Boot = "b2" }), true},
		{"another folder", h, with(h, func(h *Holder) { h.Folder = "/g" }), false},
		{"another machine of that name", h, with(h, func(h *Holder) { h.Machine = "m2" }), false},
		{"a machine without an id, another process", nameless, with(nameless, func(h *Holder) { h.PID = 2 }), true},
		{"machines without an id, of other starts", nameless, with(nameless, func(h *Holder) { h.Boot = "b2" }), false},
		{"nothing but the name is known", with(nameless, func(h *Holder) { h.Boot = "" }), with(nameless, func(h *Holder) { h.Boot = "" }), false},
	} {
		if c.a.Same(c.b) != c.same || c.b.Same(c.a) != c.same {
			t.Errorf("%s: Same is not %v", c.what, c.same)
		}
	}
}
