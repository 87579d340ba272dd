website:
  pages: {contact: "by id"}
