base:
  shop: [site]
dev:
  shop: [trial]
