colour: {{ colour }}
