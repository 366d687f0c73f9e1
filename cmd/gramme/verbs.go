package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/internal/suggest"
)

// synonyms maps words of other programs to the commands of this one.
var synonyms = map[string]string{
	"train": "up", "pretrain": "up", "start": "up", "run": "up", "resume": "up", "continue": "up", "fit": "up", "launch": "up",
	"ls": "status", "list": "status", "ps": "status", "show": "status", "info": "status", "watch": "status", "top": "status",
	"verify": "audit", "energy": "audit", "ledger": "audit", "account": "audit", "carbon": "audit",
	"check": "doctor", "diagnose": "doctor", "diag": "doctor", "health": "doctor",
	"tokenize": "prepare", "preprocess": "prepare",
	"infer": "predict", "fill": "predict", "fill-mask": "predict", "generate": "predict",
	"settings": "config", "options": "config",
	"join": "worker",
}

// disturbing are the verbs that stop something. They are never suggested: a user may
// paste the suggestion without reading it.
var disturbing = []string{"drain", "scale", "chaos"}

// nearestVerb finds the command below c that was probably meant, or "".
func nearestVerb(c *cobra.Command, typed string) string {
	var names []string
	for _, below := range c.Commands() {
		if below.IsAvailableCommand() && !slices.Contains(disturbing, below.Name()) {
			names = append(names, below.Name())
		}
	}
	if verb := synonyms[typed]; slices.Contains(names, verb) {
		return verb
	}
	if i := suggest.Nearest(typed, names); i >= 0 {
		return names[i]
	}
	return ""
}
