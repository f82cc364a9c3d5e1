// The order that answers are put in: tiers from the best to the worst, each with those that tie, and those without a rank.

export class Order {
  constructor(ranks) {
    this.ranks = [...ranks]; // of each place; null where it has none. Numbers may have gaps while somebody is at it.
  }

  get tiers() {
    const numbers = [...new Set(this.ranks.filter((rank) => rank !== null))].sort((one, other) => one - other);
    return numbers.map((number) => this.#places((rank) => rank === number));
  }

  get pool() {
    return this.#places((rank) => rank === null);
  }

  // From 1 up, without a gap; null where some have no rank yet.
  get settled() {
    if (this.pool.length) return null;
    const tiers = this.tiers;
    return this.ranks.map((_, place) => 1 + tiers.findIndex((tier) => tier.includes(place)));
  }

  set(place, rank) {
    this.ranks[place] = rank;
    if (!this.pool.length) this.ranks = this.settled;
  }

  // Into a tier of its own before the tier at `index` of those that there are now.
  insert(place, index) {
    const tiers = this.tiers;
    tiers.splice(index, 0, [place]);
    this.#number(tiers.map((tier, at) => (at === index ? tier : tier.filter((one) => one !== place))));
  }

  join(place, index) {
    const tiers = this.tiers;
    const target = tiers[index];
    this.#number(tiers.map((tier) => (tier === target ? [...new Set([...tier, place])] : tier.filter((one) => one !== place))));
  }

  remove(place) {
    this.ranks[place] = null;
  }

  // One step towards the best (-1) or the worst (1): out of a tie first, then past the next.
  step(place, by) {
    const tiers = this.tiers;
    const at = tiers.findIndex((tier) => tier.includes(place));
    if (at < 0) return this.insert(place, by < 0 ? tiers.length : 0);
    if (tiers[at].length > 1) return this.insert(place, by < 0 ? at : at + 1);
    const to = at + by;
    if (to < 0 || to >= tiers.length) return undefined;
    [tiers[at], tiers[to]] = [tiers[to], tiers[at]];
    return this.#number(tiers);
  }

  // With the tier before it; the first with the one behind it.
  tie(place) {
    const at = this.tiers.findIndex((tier) => tier.includes(place));
    if (at > 0) this.join(place, at - 1);
    else if (at === 0 && this.tiers.length > 1 && this.tiers[0].length === 1) this.join(place, 1);
  }

  #places(which) {
    return this.ranks.map((_, place) => place).filter((place) => which(this.ranks[place]));
  }

  #number(tiers) {
    tiers.filter((tier) => tier.length).forEach((tier, at) => tier.forEach((place) => (this.ranks[place] = at + 1)));
  }
}
