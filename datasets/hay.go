package datasets

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Words that generated texts are made of.
var (
	officers   = []string{"harbour master", "night watchman", "head gardener", "lighthouse keeper", "town archivist", "chief cartographer", "station master", "bell ringer"}
	places     = []string{"Ostrava Bay", "Kellin Ford", "Upper Marrow", "Saint Tilda", "Brackenholt", "Port Venn", "Low Harrow", "Cinder Quay"}
	adjectives = []string{"amber", "brisk", "calm", "dusty", "eager", "faint", "gentle", "hollow", "icy", "jolly", "keen", "lucid", "mellow", "noble", "olive", "plain"}
	nouns      = []string{"anchor", "basket", "candle", "drum", "engine", "ferry", "garden", "hammer", "island", "jacket", "kettle", "ladder", "mirror", "needle", "orchard", "pepper"}
	people     = []string{"Anneke", "Bruno", "Celia", "Dario", "Edda", "Farid", "Greta", "Hugo", "Ilse", "Jonas", "Katya", "Lorenz", "Mirela", "Nils", "Oona", "Pavel"}
	trades     = []string{"baker", "cooper", "ferryman", "glazier", "joiner", "miller", "potter", "saddler", "tailor", "weaver", "printer", "surveyor"}
	goods      = []string{"barrels of cider", "bundles of willow", "crates of pears", "rolls of sailcloth", "sacks of barley", "jars of honey", "sheets of tin", "baskets of mussels", "bales of wool", "casks of vinegar"}
	weathers   = []string{"a thin rain came in from the west", "the fog did not lift before noon", "a dry wind shook the shutters", "frost lay on the lower fields", "the river stood high after the thaw", "the evening turned warm and still"}
	times      = []string{"On market day", "Before the first bell", "Late in the afternoon", "After the spring fair", "In the second week of October", "Shortly before supper", "At the turn of the tide", "On the longest day of the year"}
	remarks    = []string{"nobody in the square paid much attention to it", "the matter was settled over a pot of tea", "it was written down in the parish book", "the children followed them as far as the bridge", "the price was higher than the year before", "two neighbours offered to help with the carts", "the old clock struck the wrong hour again", "a letter about it arrived a month later"}
)

// hay writes sentences of about that many words in all: a chronicle of small
// events, no two texts alike and none with a number in it.
func hay(rng *rand.Rand, words int) []string {
	var out []string
	for count := 0; count < words; {
		s := haySentence(rng)
		out = append(out, s)
		count += len(strings.Fields(s))
	}
	return out
}

func haySentence(rng *rand.Rand) string {
	who, trade, place := pick(rng, people), pick(rng, trades), pick(rng, places)
	switch rng.IntN(6) {
	case 0:
		return fmt.Sprintf("%s, %s the %s brought %s to %s, and %s.", pick(rng, times), who, trade, pick(rng, goods), place, pick(rng, remarks))
	case 1:
		return fmt.Sprintf("%s the %s of %s quarrelled with %s about %s, but %s.", who, trade, place, pick(rng, people), pick(rng, goods), pick(rng, remarks))
	case 2:
		return fmt.Sprintf("%s, %s, so that the road to %s stayed empty.", pick(rng, times), pick(rng, weathers), place)
	case 3:
		return fmt.Sprintf("In %s they still tell how %s the %s lent %s a cart for %s.", place, who, trade, pick(rng, people), pick(rng, goods))
	case 4:
		return fmt.Sprintf("%s the %s said that %s, and %s.", who, trade, pick(rng, weathers), pick(rng, remarks))
	}
	return fmt.Sprintf("The workshop of %s the %s stood behind the mill in %s, where %s were kept through the winter.", who, trade, place, pick(rng, goods))
}
